// Whether this page stands inside another application, whose own browser has no passkeys. Never: decided by, but what
// somebody is told.

/** What they call themselves, and how people know them. The first that fits counts. */
const APPLICATIONS: readonly (readonly [RegExp, string])[] = [
  [/wxwork/i, "WeCom (企业微信)"],
  [/MicroMessenger/i, "WeChat (微信)"],
  [/DingTalk/i, "DingTalk (钉钉)"],
  [/Feishu/i, "Feishu (飞书)"],
  [/Lark\//i, "Lark"],
  [/AlipayClient/i, "Alipay (支付宝)"],
  [/\bQQ\//, "QQ"],
  [/Weibo/i, "Weibo (微博)"],
  [/WhatsApp/i, "WhatsApp"],
  [/Telegram/i, "Telegram"],
  [/\bLine\//i, "LINE"],
  [/KAKAOTALK/i, "KakaoTalk"],
  [/MessengerForiOS|FB_IAB\/(Orca|MESSENGER)|FBAN\/Messenger/i, "Messenger"],
  [/\bFB(AN|AV|_IAB)\b/, "Facebook"],
  [/Instagram/i, "Instagram"],
  [/LinkedInApp/i, "LinkedIn"],
  [/Slack/i, "Slack"],
  [/Teams(Mobile)?\//i, "Microsoft Teams"],
];

/** The application by its user agent: its name, "" for one without, `undefined`: a browser of its own. */
export function inside(agent: string): string | undefined {
  const known = APPLICATIONS.find(([mark]) => mark.test(agent));
  if (known !== undefined) return known[1];
  const androidView = /; wv\)/.test(agent);
  // A browser on an iPhone names itself; what is embedded does not.
  const appleView = /\b(iPhone|iPad|iPod)\b/.test(agent) && !/(Safari|CriOS|FxiOS|EdgiOS)\//.test(agent);
  return androidView || appleView ? "" : undefined;
}
