// biome-ignore-all lint/suspicious/noControlCharactersInRegex: controls are what is tested.
// What a hostile server prints: by the numbers of the known attacks.
import { describe, expect, test } from "vitest";
import {
  isAnswer,
  linkAddress,
  OutputFilter,
  replyPasses,
  SEQUENCE_MAX,
  type Shown,
  TITLE_MAX,
  titleText,
} from "./filter";

const ST = "\x1b\\";
const BEL = "\x07";

const decoder = new TextDecoder();
const textOf = (out: Shown): string => (typeof out === "string" ? out : decoder.decode(out));

/** What is shown of a text, in one piece and byte by byte; and the titles it set. */
function filtered(text: string | Uint8Array): { shown: string; titles: string[] } {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  const titles: string[] = [];
  const shown = textOf(new OutputFilter((title) => titles.push(title)).push(bytes));
  const single = new OutputFilter(() => {});
  const pieces = Array.from(bytes, (byte) => textOf(single.push(Uint8Array.of(byte)))).join("");
  expect(pieces).toBe(shown);
  return { shown, titles };
}

const shown = (text: string) => filtered(text).shown;

test("plain bytes pass as they came, wherever they lie, and nothing else does", () => {
  for (let offset = 0; offset < 4; offset += 1) {
    for (const length of [0, 1, 7, 63, 64, 65, 71]) {
      const memory = new Uint8Array(offset + length + 8).fill(0xff);
      const plain = memory.subarray(offset, offset + length).fill(0x61);
      expect(new OutputFilter(() => {}).push(plain)).toBe(plain);
      for (let at = 0; at < length; at += 1) {
        for (const other of [0x1b, 0x80, 0xc3, 0xff]) {
          plain[at] = other;
          expect(typeof new OutputFilter(() => {}).push(plain)).toBe("string");
          plain[at] = 0x61;
        }
      }
    }
  }
});

test("a letter that is torn apart keeps its place before plain bytes, also when it is never whole", () => {
  const filter = new OutputFilter(() => {});
  const push = (...bytes: number[]) => textOf(filter.push(Uint8Array.from(bytes)));
  expect([push(0xe8, 0xaf), push(), push(0x8a, 0x61), push(0x62)]).toEqual(["", "", "诊a", "b"]);
  expect([push(0xe8), push(0x63), push(0x64)]).toEqual(["", "\ufffdc", "d"]);
});

test("PTY-08: counts that would keep the terminal busy for minutes are dropped", () => {
  for (const final of ["b", "S", "T", "L", "M", "P", "X", "@"]) {
    expect(shown(`a\x1b[2147483647${final}c`)).toBe("ac");
  }
  for (const final of "STLMb")
    for (const more of ["", ";", ";1", ":1"])
      expect(shown(`\x1b[9999${more}${final}\x1b[7${final}`)).toBe(`\x1b[500${final}\x1b[7${final}`);
  expect(shown("\x1b[38;2;1;2;3m\x1b[9999;1H")).toBe("\x1b[38;2;1;2;3m\x1b[9999;1H");
});

describe("what programs need passes unchanged", () => {
  test.each([
    ["plain text", "hello\r\n\tworld\x07\x08"],
    ["wide characters and emoji", "诊断完成 👩‍💻 ─│┌"],
    ["colours", "\x1b[1;31mred\x1b[0m \x1b[38;2;1;2;3mrgb\x1b[38:2::1:2:3m\x1b[m"],
    ["cursor and screen", "\x1b[2J\x1b[H\x1b[10;20H\x1b[?25l\x1b[?1049h\x1b[K\x1b7\x1b8\x1b[2 q"],
    ["modes of vim, less and htop", "\x1b[?1h\x1b=\x1b[?2004h\x1b[?1006;1000h\x1b[4l\x1b[!p\x1b(B\x1b)0"],
    ["scrolling regions", "\x1b[1;24r\x1bM\x1bD\x1bE\x1b[3S\x1b[2T\x1b[5L\x1b[4M"],
    ["who are you, and where is the cursor", "\x1b[c\x1b[0c\x1b[>c\x1b[5n\x1b[6n"],
    ["a control inside a sequence acts first", "\x1b[3"],
  ])("%s", (_name, text) => {
    if (text.endsWith("[3")) expect(shown("\x1b[3\rm")).toBe("\r\x1b[3m");
    else expect(shown(text)).toBe(text);
  });

  test("setting and resetting colours", () => {
    expect(shown(`\x1b]4;1;rgb:ff/00/00${ST}\x1b]104${BEL}`)).toBe(
      `\x1b]4;1;rgb:ff/00/00${BEL}\x1b]104${BEL}`,
    );
  });
});

describe("PTY-05 nothing makes the terminal type", () => {
  test.each([
    ["DECRQSS", `\x1bP$q"p${ST}`],
    ["DECRQM", "\x1b[?2004$p\x1b[4$p"],
    ["XTVERSION", "\x1b[>q\x1b[>0q"],
    ["XTGETTCAP", `\x1bP+q544e${ST}`],
    ["DECREQTPARM", "\x1b[0x"],
    ["DA with a payload, DA3", "\x1b[>0;1;2c\x1b[=c"],
    ["title and window reports", "\x1b[21t\x1b[20t\x1b[14t\x1b[18t"],
    ["colour reports", `\x1b]10;?${ST}\x1b]11;?${BEL}\x1b]12;?${BEL}\x1b]4;0;?${BEL}`],
    ["unknown status reports", "\x1b[15n\x1b[?15n\x1b[?25n\x1b[?996n"],
    ["checksum of an area, DECRQPSR", "\x1b[1;1;1;1;2;2*y\x1b[1$w"],
    ["answerback", "\x1bZ"],
    ["printing and kitty's keyboard", "\x1b[5i\x1b[4i\x1b[?u\x1b[>1u\x1b[=1;1u"],
    ["eight-bit forms", "\u009b21t\u0090$qm\u009c\u009d10;?\u009c"],
  ])("%s is not passed", (_name, text) => {
    expect(shown(text)).not.toMatch(/\x1b/);
  });

  test("of the answers of xterm.js only four pass, none with a newline", () => {
    for (const answer of ["\x1b[?1;2c", "\x1b[>0;276;0c", "\x1b[0n", "\x1b[12;40R", "\x1b[?12;40R"]) {
      expect(replyPasses(answer)).toBe(true);
      expect(isAnswer(answer)).toBe(true);
      expect(answer).not.toMatch(/[\r\n]/);
    }
    const refused = [
      "\x1bP1$r0m\x1b\\",
      "\x1b]10;rgb:ff/ff/ff\x1b\\",
      "\x1b[?2004;1$y",
      "\x1b[8;24;80t",
      "\x1b[=1c",
    ];
    for (const answer of [...refused, "\x1b]lsh\x1b\\", "\x1bP>|xterm(6)\x1b\\"])
      expect(replyPasses(answer)).toBe(false);
  });

  test("keys, mouse and pastes pass", () => {
    for (const key of [
      "a",
      "\r",
      "\x03",
      "\x1b[A",
      "\x1bOA",
      "\x1b[1;5C",
      "\x1b[3~",
      "\x1b[<0;3;4M",
      "\x1b[I",
      "\x1b",
      "诊",
    ]) {
      expect(replyPasses(key)).toBe(true);
    }
    expect(replyPasses("\x1b[200~a\rb\x1b[201~")).toBe(true);
  });
});

describe("PTY-07 nothing acts on the browser", () => {
  test.each([
    ["clipboard write", `\x1b]52;c;aGVsbG8=${BEL}`],
    ["clipboard read", `\x1b]52;c;?${ST}`],
    ["notifications", `\x1b]9;hello${BEL}\x1b]777;notify;a;b${BEL}`],
    [
      "fonts, images, folders, marks",
      `\x1b]50;x${BEL}\x1b]1337;File=:AAAA${BEL}\x1b]7;file://x/y${BEL}\x1b]133;A${BEL}`,
    ],
    ["window operations", "\x1b[8;100;100t\x1b[3;0;0t\x1b[2t\x1b[22;0t"],
    ["a number that is none", `\x1b]x52;c;aGVsbG8=${BEL}\x1b]052;c;aGVsbG8=${BEL}`],
  ])("%s", (_name, text) => {
    expect(shown(`a${text}b`)).toBe("ab");
  });

  test("links: http and https alone, the text stays", () => {
    const link = (address: string) => shown(`\x1b]8;;${address}${BEL}text\x1b]8;;${BEL}`);
    expect(link("https://example.com/a?b")).toBe(`\x1b]8;;https://example.com/a?b${BEL}text\x1b]8;;${BEL}`);
    for (const address of [
      "javascript:alert(1)",
      "file:///etc/passwd",
      "data:text/html,x",
      "ftp://x/",
      "https://a@b.example/",
    ]) {
      expect(link(address)).toBe(`\x1b]8;;${BEL}text\x1b]8;;${BEL}`);
    }
    expect(linkAddress("https://example.com/ x")).toBeUndefined();
    expect(linkAddress(`https://example.com/${"a".repeat(3000)}`)).toBeUndefined();
  });

  test("titles are text of at most 128 characters", () => {
    const { shown: rest, titles } = filtered(
      `\x1b]0;<img src=x onerror=alert(1)>${BEL}\x1b]2;${"a".repeat(500)}${ST}`,
    );
    expect(rest).toBe("");
    expect(titles[0]).toBe("<img src=x onerror=alert(1)>");
    expect(titles[1]).toHaveLength(TITLE_MAX);
    expect(titleText("a\u202eb\u200bc\r\nd")).toBe("abcd");
  });
});

describe("PTY-08 nothing without an end costs memory", () => {
  test.each(["\x1b]0;", "\x1bP", "\x1b_G", "\x1b^", "\x1bX", "\x1b[", "\x1b]8;;https://x/"])(
    "%j",
    (start) => {
      const filter = new OutputFilter(() => expect.unreachable());
      let out = textOf(filter.push(new TextEncoder().encode(start)));
      const chunk = new TextEncoder().encode("1".repeat(65_536));
      for (let i = 0; i < 32; i += 1) out += textOf(filter.push(chunk));
      expect(out).toBe("");
      expect(textOf(filter.push(new TextEncoder().encode(`m${BEL}${ST}after`)))).toMatch(/after$/);
    },
  );

  test("a sequence as long as the cap passes, one longer is dropped whole", () => {
    expect(shown(`\x1b[${"1".repeat(SEQUENCE_MAX)}m`)).not.toBe("");
    expect(shown(`a\x1b[${"1".repeat(SEQUENCE_MAX + 1)}mb`)).toBe("ab");
  });

  test("sixel and kitty images are not passed", () => {
    expect(shown(`a\x1bPq#0;2;0;0;0#0~~@@vv${ST}b\x1b_Gf=24,s=9,v=9;AAAA${ST}c`)).toBe("abc");
  });
});

test("cancelled and nested sequences come to nothing", () => {
  expect(shown("\x1b]52;c;\x18ok")).toBe("ok");
  expect(shown("\x1b[12\x1aok")).toBe("ok");
  expect(shown(`\x1b]0;a\x1b[31mok`)).toBe("\x1b[31mok");
  expect(shown("\x1b\x1b[31mok")).toBe("\x1b[31mok");
});

test("damaged UTF-8 is shown as damaged, and hides no control", () => {
  expect(filtered(Uint8Array.of(0x9d, 0x35, 0x32, 0x3b, 0xc3)).shown).toBe("\ufffd52;");
});

test("no random bytes let anything else through", () => {
  let seed = 7;
  const next = () => {
    seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff;
    return seed >> 8;
  };
  const letters = "\x1b\x1b\x1b[]P_^\\?>$;:0152\x07\x18tnchm qpy\u009b\u009d\u0090a诊";
  for (let round = 0; round < 3000; round += 1) {
    const text = Array.from({ length: 24 }, () => letters[next() % letters.length]).join("");
    const out = textOf(new OutputFilter(() => {}).push(new TextEncoder().encode(text)));
    expect(out).not.toMatch(
      /[\x80-\x9f]|\x1b[P_^X]|\x1b\](?!4;|8;|10;|11;|12;|104|110|111|112)|\x1b\[[^@-~]*[tpy]/,
    );
  }
});
