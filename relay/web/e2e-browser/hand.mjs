// Somebody who clicks, types and touches, and how often: each click, each field that is filled, each key that confirms and
// each touch of a passkey is one action. Never: an action of a person that is not counted.

/** `passkeys`: the page's authenticator (passkeys.mjs), which touches by itself as soon as it is asked. */
export class Hand {
  #done = 0;
  #passkeys;

  constructor(passkeys) {
    this.#passkeys = passkeys;
  }

  get actions() {
    return this.#done + this.#passkeys.touches();
  }

  async click(place) {
    this.#done += 1;
    await place.click();
  }

  async fill(place, text) {
    this.#done += 1;
    await place.fill(text);
  }

  async check(place) {
    if (await place.isChecked()) return;
    this.#done += 1;
    await place.check();
  }

  async press(place, key) {
    this.#done += 1;
    await place.press(key);
  }

  /** What a person does elsewhere: copy a command here, paste it into another window, confirm it there. */
  elsewhere(actions) {
    this.#done += actions;
  }

  /** Fails when it took more than was promised. */
  promised(what, most) {
    if (this.actions > most)
      throw new Error(`${what}: ${this.actions} actions, at most ${most} are promised`);
  }
}
