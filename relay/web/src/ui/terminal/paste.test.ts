import { expect, test } from "vitest";
import { asks, cleaned, look, shown } from "./paste";

test("PTY-09 one plain line is pasted, everything else asks and loses what is hidden", () => {
  const check = (text: string, ask: boolean, pasted: string) => {
    const paste = look(text);
    expect(asks(paste)).toBe(ask);
    expect(cleaned(paste)).toBe(pasted);
  };
  check("df -h", false, "df -h");
  check("a\tb", false, "a\tb");
  check("诊断 👩‍💻", false, "诊断 👩‍💻");
  check("one\ntwo", true, "one\ntwo");
  check("one\r\n", true, "one\n");
  check("rm -rf /tmp/x\x08\x08\x08", true, "rm -rf /tmp/x");
  check("echo \x1b[201~; id", true, "echo [201~; id");
  check("ls \u202etxt.exe", true, "ls txt.exe");
  check("sudo\u200b reboot", true, "sudo reboot");
  check("su\u00addo reboot", true, "sudo reboot");
  check("df\u{e0020}\u{e007f} -h", true, "df -h");
});

test("PTY-09 what is hidden is shown before it is left out", () => {
  expect(shown(look("a\u00adb\u{e0041}c"))).toBe("a⟨U+00AD⟩b⟨U+E0041⟩c");
  expect(shown(look("a\x1bb\u202ec\x7f"))).toBe("a⟨U+001B⟩b⟨U+202E⟩c⟨U+007F⟩");
});
