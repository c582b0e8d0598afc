// User agents as they are in the wild.

import { expect, test } from "vitest";
import { inside } from "./inside";

const IPHONE =
  "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)";
const ANDROID = "Mozilla/5.0 (Linux; Android 14; Pixel 8";

test.each([
  [`${IPHONE} Mobile/15E148 MicroMessenger/8.0.50(0x18003237) NetType/WIFI Language/zh_CN`, "WeChat (微信)"],
  [
    `${ANDROID}; wv) AppleWebKit/537.36 Chrome/130 Mobile Safari/537.36 MMWEBID/1 MicroMessenger/8.0.50`,
    "WeChat (微信)",
  ],
  [`${IPHONE} Mobile/15E148 wxwork/4.1.30 MicroMessenger/7.0.1 Language/zh`, "WeCom (企业微信)"],
  [
    `${ANDROID}; wv) AppleWebKit/537.36 Chrome/130 Mobile Safari/537.36 AliApp(DingTalk/7.6.0)`,
    "DingTalk (钉钉)",
  ],
  [`${IPHONE} Mobile/15E148 Lark/7.28.6 LarkLocale/zh_CN ChannelName/Feishu`, "Feishu (飞书)"],
  [`${IPHONE} Mobile/15E148 WhatsApp/24.20`, "WhatsApp"],
  [`${ANDROID}) AppleWebKit/537.36 Chrome/130 Mobile Safari/537.36 Telegram-Android/11.4.2`, "Telegram"],
  [`${IPHONE} Mobile/15E148 Safari Line/14.19.0`, "LINE"],
  [`${IPHONE} Mobile/15E148 [FBAN/FBIOS;FBAV/490.0.0.41.109]`, "Facebook"],
  [
    `${ANDROID}; wv) AppleWebKit/537.36 Chrome/130 Mobile Safari/537.36 [FB_IAB/Orca-Android;FBAV/480.0]`,
    "Messenger",
  ],
  [`${ANDROID}; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/130 Mobile Safari/537.36`, ""],
  [`${IPHONE} Mobile/15E148`, ""],
  [`${IPHONE} Version/18.1 Mobile/15E148 Safari/604.1`, undefined],
  [`${IPHONE} CriOS/130.0 Mobile/15E148 Safari/604.1`, undefined],
  [`${ANDROID}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36`, undefined],
  ["Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0", undefined],
])("%s", (agent, application) => {
  expect(inside(agent)).toBe(application);
});
