//! What the API says when it does not do what was asked: RFC 9457, in the reader's language.
//!
//! Each problem says what happened, what it means and what to do next. A handler names a [`Code`]; the text is made
//! at the edge, where the request's `Accept-Language` is known. Never: an error of a library, a secret, or a
//! difference between "not there" and "not yours".

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cloud_doctor_proto::refusal::{Language, one_line};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Longest value that a sentence may name.
const DETAIL_CHARS: usize = 300;

macro_rules! problems {
    ($($name:ident $status:ident $id:literal
        $en_title:literal $en_detail:literal $en_remedy:literal
        $zh_title:literal $zh_detail:literal $zh_remedy:literal;)*) => {
        /// Which problem. The id is stable; the texts are not.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the texts beside each say what it is")]
        pub enum Code { $($name,)* }

        impl Code {
            /// All of them.
            #[cfg(test)]
            pub(crate) const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The id that programs match on.
            #[must_use]
            pub fn id(self) -> &'static str {
                match self { $(Code::$name => $id,)* }
            }

            fn status(self) -> StatusCode {
                match self { $(Code::$name => StatusCode::$status,)* }
            }

            /// Title, detail, remedy.
            fn texts(self, language: Language) -> [&'static str; 3] {
                match (self, language) {
                    $((Code::$name, Language::En) => [$en_title, $en_detail, $en_remedy],
                      (Code::$name, Language::Zh) => [$zh_title, $zh_detail, $zh_remedy],)*
                }
            }
        }
    };
}

problems! {
    SignedOut UNAUTHORIZED "signed-out"
        "You are not signed in." "The request carries no token, or its login has ended." "Sign in again: in the console, or with cloud-doctor login."
        "尚未登录。" "请求未携带令牌，或登录已结束。" "请重新登录：在控制台中，或执行 cloud-doctor login。";
    WrongLogin UNAUTHORIZED "wrong-login"
        "Account or password is wrong." "The relay does not say which." "Check both. An admin of your relay can replace the account."
        "账号或密码错误。" "中继不会说明是哪一个。" "请检查两者。中继管理员可以重建账号。";
    CodeNeeded UNAUTHORIZED "code-needed"
        "A code is needed as well." "The password is right; this account asks for six digits from an app besides." "Send the code too: from the app, or one of the recovery codes."
        "还需要验证码。" "密码正确；此账号还要求应用中的六位验证码。" "请同时发送验证码：来自应用，或使用一个恢复代码。";
    WrongCode UNAUTHORIZED "wrong-code"
        "This code does not count." "It is not the code of this moment, or it was used before." "Wait for the app's next code. If its clock is wrong, use a recovery code."
        "此验证码无效。" "它不是当前的验证码，或已被使用。" "请等待应用的下一个验证码。若设备时间不准，请使用恢复代码。";
    TotpOn CONFLICT "second-step-on"
        "Codes from an app are on already." "An account has one app." "Turn them off first, then on again with another app."
        "应用验证码已启用。" "每个账号只绑定一个应用。" "请先关闭，再用其他应用启用。";
    TotpOff CONFLICT "second-step-off"
        "Codes from an app are not on." "This account signs in without them." "Turn them on first."
        "应用验证码未启用。" "此账号登录时不需要验证码。" "请先启用。";
    TotpNotBegun CONFLICT "second-step-not-begun"
        "Nothing waits for this code." "The secret was shown more than five minutes ago, to another sign-in, or was confirmed already." "Begin again: a new secret is shown."
        "没有等待确认的密钥。" "密钥显示已超过五分钟、属于另一次登录，或已确认。" "请重新开始，将显示新的密钥。";
    OidcRefused UNAUTHORIZED "identity-refused"
        "The identity provider did not sign you in here." "What came back was not asked for by this browser in the last five minutes, or is not signed as it must be. The relay's log says more." "Try again from the sign-in page."
        "未能通过身份提供商登录。" "返回的内容并非此浏览器在过去五分钟内请求的，或签名不符合要求。详情见中继日志。" "请从登录页面重试。";
    ProviderAway BAD_GATEWAY "provider-away"
        "The identity provider does not answer." "The relay asked it and got no usable answer; its log says which." "Try again in a minute, or sign in another way."
        "身份提供商没有响应。" "中继已向其请求，但未得到可用的回答；详情见中继日志。" "请一分钟后重试，或使用其他登录方式。";
    NotAllowed FORBIDDEN "not-allowed"
        "You may not sign in here." "The identity provider knows you, but the rules of this relay (e-mail domain or group) do not let you in." "Ask the relay's operator."
        "您无权在此登录。" "身份提供商认识您，但此中继的规则（邮箱域名或用户组）不允许您登录。" "请联系中继运维人员。";
    NoAccount FORBIDDEN "no-account"
        "You have no account on this relay." "The identity provider knows you, but no account here is linked to you." "Sign in another way and link your account in the settings, or ask an admin for an account."
        "您在此中继没有账号。" "身份提供商认识您，但此处没有与您关联的账号。" "请用其他方式登录并在设置中关联账号，或向管理员申请账号。";
    AccountExists CONFLICT "account-exists"
        "There is an account of your name already." "It may be yours or somebody else's: a name alone opens none." "If it is yours, sign in to it another way and link it in the settings."
        "已有与您同名的账号。" "它可能属于您，也可能属于他人：仅凭名称不能登录。" "若是您的账号，请用其他方式登录并在设置中关联。";
    LinkedAlready CONFLICT "linked-already"
        "This is linked already." "Each person at the identity provider has one account here, and each account one person." "Unlink the other first."
        "已关联。" "身份提供商中的每个人在此只有一个账号，每个账号也只对应一个人。" "请先解除另一个关联。";
    WrongPasskey UNAUTHORIZED "wrong-passkey"
        "This passkey does not sign you in." "The relay does not know it, or what it signed was not asked for in the last five minutes." "Try again. If it stays, use another way to sign in, and make a new passkey in the settings."
        "无法使用此通行密钥登录。" "中继不认识它，或它签名的内容并非过去五分钟内请求的。" "请重试。若仍失败，请使用其他登录方式，并在设置中创建新的通行密钥。";
    SignInAgain FORBIDDEN "sign-in-again"
        "Sign in again before you do that." "A change of the ways to sign in needs a login that is younger than 15 minutes." "Sign in again here, then repeat it."
        "请先重新登录，再执行此操作。" "更改登录方式需要 15 分钟内的登录。" "请重新登录后再试。";
    NoPasskeys CONFLICT "no-passkeys-here"
        "Passkeys do not work at this address." "They need the relay's own host name and port; an address of numbers will not do." "Open the console by public_name from relay.toml, or as localhost. Behind a proxy, check clients.public_port."
        "通行密钥在此地址不可用。" "通行密钥需要中继自己的主机名和端口；数字地址不可用。" "请使用 relay.toml 中的 public_name 或 localhost 打开控制台。若在代理之后，请检查 clients.public_port。";
    PasskeyRefused UNPROCESSABLE_ENTITY "passkey-refused"
        "This passkey was not accepted." "It is not what was asked for: made elsewhere, for something else, too late, or without checking who you are." "Try again. If your device cannot check who you are, use another one."
        "未接受此通行密钥。" "它不符合要求：在别处创建、用于其他用途、已超时，或未验证您的身份。" "请重试。若您的设备无法验证身份，请换一台设备。";
    PasskeyKnown CONFLICT "passkey-known"
        "This passkey is registered already." "Each passkey belongs to one account, once." "Use it to sign in, or make another one."
        "此通行密钥已注册。" "每个通行密钥只属于一个账号，且仅一次。" "请用它登录，或另建一个。";
    LastWay CONFLICT "last-way-in"
        "This is your last way in." "Without it nobody could sign in to this account." "Add another way to sign in first."
        "这是您最后的登录方式。" "没有它，将无法登录此账号。" "请先添加其他登录方式。";
    Limited TOO_MANY_REQUESTS "limited"
        "Too many attempts." "This account, network or session has asked too often in the last minute." "Wait a minute and try again."
        "尝试次数过多。" "该账号、网络或会话在过去一分钟内请求过于频繁。" "请等待一分钟后重试。";
    NotAdmin FORBIDDEN "not-admin"
        "Only an admin may do that." "Your account is a member." "Ask an admin of your relay."
        "只有管理员可以执行此操作。" "您的账号是普通成员。" "请联系中继管理员。";
    ForeignPage FORBIDDEN "foreign-page"
        "This did not come from the relay's own page." "A browser may change or open something only from the console of this relay, at its own address." "Open the console itself. If the relay has a name, it must stand in relay.toml as public_name."
        "此请求并非来自中继自己的页面。" "浏览器只能从此中继自己的控制台、以其自身地址更改或打开内容。" "请直接打开控制台。若中继有域名，须在 relay.toml 中设为 public_name。";
    Ticket FORBIDDEN "ticket"
        "The ticket for this stream does not count." "It was used, is older than 30 seconds, or was given to another login." "Ask for a new one: POST /api/v1/stream-tickets."
        "此连接的票据无效。" "票据已被使用、超过 30 秒，或属于另一次登录。" "请重新获取：POST /api/v1/stream-tickets。";
    Unknown NOT_FOUND "unknown"
        "There is nothing of this name." "It does not exist, was removed, or belongs to somebody else." "Check the name or id, or list what there is."
        "没有此名称的对象。" "它不存在、已被删除，或属于他人。" "请检查名称或编号，或先列出现有对象。";
    ResetCode FORBIDDEN "reset-code"
        "This link does not count." "It was used, is older than 15 minutes, or the account has a new password since." "Ask an admin of your relay for another one."
        "此链接无效。" "它已被使用、超过 15 分钟，或账号此后已设置新密码。" "请向中继管理员索取新的链接。";
    SetupClosed NOT_FOUND "set-up-closed"
        "There is no set-up open." "This relay has an account already, or the code's 30 minutes are over." "Sign in. If there is no account yet, restart the relay: it prints a new code."
        "当前没有可用的初始化。" "此中继已有账号，或代码的 30 分钟有效期已过。" "请登录。若尚无账号，请重启中继，它会打印新的代码。";
    SetupCode FORBIDDEN "set-up-code"
        "The set-up code is wrong." "It stands on the terminal or in the journal of the relay." "Read it there and type it again."
        "初始化代码错误。" "代码显示在中继的终端或日志中。" "请查看后重新输入。";
    Join FORBIDDEN "join"
        "This link does not count." "It was used, is too old, was taken back, or is incomplete; the relay does not say which." "Ask whoever sent it for another one."
        "此链接无效。" "链接已被使用、已过期、已被收回或不完整；中继不会说明是哪一种。" "请向发送者索取新的链接。";
    JoinOver CONFLICT "join-over"
        "This invitation has moved on." "It has ended, or another key was sent for it already." "Look at how it stands, or invite the person again."
        "此邀请的状态已改变。" "邀请已结束，或已为其提交过另一个密钥。" "请查看其状态，或重新邀请。";
    BadRequest BAD_REQUEST "bad-request"
        "The request could not be read." "{}" "Update the client, or see /api/v1/openapi.json."
        "无法解析请求。" "{}" "请更新客户端，或查看 /api/v1/openapi.json。";
    TooLarge PAYLOAD_TOO_LARGE "too-large"
        "The request is too large." "At most 256 KiB are read." "Send less."
        "请求过大。" "最多读取 256 KiB。" "请减少内容。";
    NameTaken CONFLICT "name-taken"
        "This account name is taken." "Names are unique on a relay." "Choose another name."
        "该账号名已被占用。" "账号名在中继内唯一。" "请换一个名称。";
    WeakPassword UNPROCESSABLE_ENTITY "weak-password"
        "This password is not accepted." "A password has 12 to 256 characters." "Choose another one, best made by a password manager."
        "不接受此密码。" "密码长度须为 12 至 256 个字符。" "请另选密码，最好由密码管理器生成。";
    BadName UNPROCESSABLE_ENTITY "bad-name"
        "This name is not accepted." "A name has 1 to 128 printable characters." "Choose another one."
        "不接受此名称。" "名称须为 1 至 128 个可打印字符。" "请换一个名称。";
    BadLabel UNPROCESSABLE_ENTITY "bad-label"
        "These labels are not accepted." "A label is a word or key=value, at most 48 printable characters each, without blanks and commas; a server has at most 16." "Choose others, or take some off first."
        "不接受这些标签。" "标签是一个词或 key=value，各部分最多 48 个可打印字符，不含空白和逗号；每台服务器最多 16 个。" "请更换标签，或先移除一些。";
    Yourself CONFLICT "yourself"
        "You cannot do that to your own account." "Somebody must be left who can let you in again." "Ask another admin."
        "不能对自己的账号执行此操作。" "必须保留能让您重新登录的人。" "请联系其他管理员。";
    HeadMoved CONFLICT "head-moved"
        "The trust log has moved on." "Somebody appended an entry after the one that yours continues." "Fetch the newer entries, check them, sign again."
        "信任日志已更新。" "在您的条目之前已有他人追加了新条目。" "请获取并检查新条目，然后重新签名。";
    EntryRefused UNPROCESSABLE_ENTITY "entry-refused"
        "The trust-log entry is refused." "{}" "Check which key signs and what the log allows: cloud-doctor tenant show."
        "信任日志条目被拒绝。" "{}" "请检查签名密钥及日志所允许的内容：cloud-doctor tenant show。";
    OtherTenant CONFLICT "other-tenant"
        "This trust log belongs to another customer." "It was posted to this relay by somebody else before." "Use that customer's account, or make a log of your own."
        "此信任日志属于另一个客户。" "它此前已由他人提交到本中继。" "请使用该客户的账号，或创建自己的日志。";
    TooMany TOO_MANY_REQUESTS "too-many"
        "Too much is waiting." "{}" "Wait until some of it is done, then try again."
        "等待中的内容过多。" "{}" "请等部分完成后重试。";
    ApprovalOver CONFLICT "approval-over"
        "Nobody waits for this answer any more." "The request was answered or withdrawn already, or its time is over." "Ask the engineer to try again."
        "此答复已无人等待。" "该请求已被答复或撤回，或已过期。" "请让工程师重试。";
    NotSecond UNPROCESSABLE_ENTITY "not-second"
        "This is no second signature." "No approver in the trust log has made it under this grant." "Sign with an approver's key: cloud-doctor tenant show lists them."
        "这不是有效的第二签名。" "信任日志中没有审批人对该授权作过此签名。" "请使用审批人的密钥签名：cloud-doctor tenant show 会列出审批人。";
    ServerAway BAD_GATEWAY "server-away"
        "The server is not connected to this relay." "Its agent has no tunnel here now, or left before it answered." "Look at the server's network and agent: systemctl status cloud-doctor-tunnel. Then try again."
        "该服务器未连接到此中继。" "其 Agent 当前没有隧道，或在答复前断开。" "请检查服务器的网络和 Agent:systemctl status cloud-doctor-tunnel，然后重试。";
    ServerBusy SERVICE_UNAVAILABLE "server-busy"
        "The server has no room for another stream." "Too many are open to it." "Try again in a few seconds."
        "该服务器无法再打开数据流。" "已打开的数据流过多。" "请几秒后重试。";
    ServerSilent GATEWAY_TIMEOUT "server-silent"
        "The server did not answer in time." "It was asked, and gave no whole answer within its time." "Look at the server's load, or run `cloud-doctor-agent check` there."
        "该服务器未及时答复。" "已向其请求，但在规定时间内没有完整的答复。" "请查看服务器负载，或在其上运行 `cloud-doctor-agent check`。";
    ServerRefused CONFLICT "server-refused"
        "The server refused." "{}" "Nothing was run or shown. What may be, and how often, is decided on the server."
        "服务器拒绝。" "{}" "未运行或显示任何内容。可运行和显示什么、多久一次，由服务器决定。";
    ServerOlder CONFLICT "server-older"
        "The server's agent does not know this question." "It is older than the relay." "Upgrade the agent on the server."
        "该服务器的 Agent 不支持此请求。" "其版本早于中继。" "请升级该服务器上的 Agent。";
    ReportDropped BAD_GATEWAY "report-dropped"
        "The server's report was dropped." "{}" "Nothing of it was kept. Try again; if it stays, run `cloud-doctor-agent check` on the server and look at its agent."
        "服务器的报告已被丢弃。" "{}" "未保留其中任何内容。请重试；若仍如此，请在服务器上运行 `cloud-doctor-agent check` 并检查其 Agent。";
    AnswerDropped BAD_GATEWAY "answer-dropped"
        "The server's answer was dropped." "It was larger than an answer may be, or not what an agent sends." "Ask for less: a shorter time or fewer names. If it stays, look at the server's agent: `cloud-doctor-agent status`."
        "服务器的答复已被丢弃。" "它超过了允许的大小，或不是 Agent 应发送的内容。" "请缩小范围：更短的时间或更少的指标名。若仍如此，请检查该服务器的 Agent：`cloud-doctor-agent status`。";
    BadPlan UNPROCESSABLE_ENTITY "bad-plan"
        "This is not accepted." "{}" "Change it and try again."
        "不接受此内容。" "{}" "请更改后重试。";
    NotWebSocket UPGRADE_REQUIRED "not-websocket"
        "This is a WebSocket." "The request is not an upgrade." "Use the cloud-doctor client."
        "此处为 WebSocket。" "请求不是协议升级。" "请使用 cloud-doctor 客户端。";
    NoMethod METHOD_NOT_ALLOWED "no-method"
        "That cannot be done with this." "The path exists, the method does not." "See /api/v1/openapi.json."
        "不支持此操作。" "路径存在，但方法不存在。" "请查看 /api/v1/openapi.json。";
    OtherHost MISDIRECTED_REQUEST "other-host"
        "This relay has another name." "The request was made to a host name that is not the configured one." "Use the relay's public name."
        "此中继使用其他名称。" "请求的主机名与配置不符。" "请使用中继的公开名称。";
    TooSlow SERVICE_UNAVAILABLE "too-slow"
        "The relay took too long." "The request was given up after 10 seconds; it may or may not have been carried out." "Look at the result, then try again."
        "中继处理超时。" "请求在 10 秒后被放弃，可能已执行也可能未执行。" "请检查结果后重试。";
    DiskFull INSUFFICIENT_STORAGE "disk-full"
        "The relay cannot write." "Its disk is full or read-only, so nothing was changed or opened." "Free space in the relay's data directory."
        "中继无法写入。" "磁盘已满或只读，因此未更改或打开任何内容。" "请在中继的数据目录释放空间。";
    Busy SERVICE_UNAVAILABLE "busy"
        "The relay is busy." "Too many requests wait for the same thing." "Try again in a few seconds."
        "中继繁忙。" "过多请求在等待同一资源。" "请几秒后重试。";
    Failed INTERNAL_SERVER_ERROR "failed"
        "The relay failed." "It is not your fault, and nothing was opened. The relay's log says why." "Try again; if it stays, tell the relay's operator."
        "中继内部错误。" "这不是您的问题，也未打开任何内容。原因见中继日志。" "请重试；若仍失败，请告知中继运维人员。";
}

/// A problem as a handler returns it.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    /// English, Chinese.
    detail: [String; 2],
    extra: Option<(&'static str, Value)>,
}

/// A problem as it travels (`application/problem+json`).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// `urn:cloud-doctor:problem:` and the code.
    r#type: String,
    /// What happened.
    title: String,
    /// The HTTP status again.
    status: u16,
    /// What it means.
    detail: String,
    /// What to do next.
    remedy: String,
    /// The problem's stable id.
    code: &'static str,
    /// For `head-moved`: `head`, where the log stands.
    #[serde(flatten)]
    #[schema(ignore)]
    extra: serde_json::Map<String, Value>,
}

impl Problem {
    /// With a value for the sentence.
    #[must_use]
    pub fn with(code: Code, detail: &str) -> Self {
        Self::telling(code, |_| detail.to_owned())
    }

    /// With words for the sentence, in each language.
    #[must_use]
    pub fn telling(code: Code, detail: impl Fn(Language) -> String) -> Self {
        let detail = [Language::En, Language::Zh].map(|language| one_line(&detail(language), DETAIL_CHARS));
        Self { code, detail, extra: None }
    }

    /// With a field for programs.
    #[must_use]
    pub fn and(self, name: &'static str, value: Value) -> Self {
        Self { extra: Some((name, value)), ..self }
    }

    /// Whether it is this one.
    #[must_use]
    pub fn is(&self, code: Code) -> bool {
        self.code == code
    }

    /// The answer in the language that the request prefers.
    #[must_use]
    pub fn answer(&self, language: Language) -> Response {
        let [title, detail, remedy] = self.code.texts(language);
        let [en, zh] = &self.detail;
        let told = match language {
            Language::En => en,
            Language::Zh => zh,
        };
        let body = ProblemBody {
            r#type: format!("urn:cloud-doctor:problem:{}", self.code.id()),
            title: title.to_owned(),
            status: self.code.status().as_u16(),
            detail: detail.replace("{}", told),
            remedy: remedy.to_owned(),
            code: self.code.id(),
            extra: self.extra.clone().map(|(name, value)| (name.to_owned(), value)).into_iter().collect(),
        };
        let mut answer = (self.code.status(), axum::Json(body)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        answer.headers_mut().insert(header::CONTENT_TYPE, kind);
        answer.headers_mut().insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(tag(language)));
        answer
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self { code, detail: Default::default(), extra: None }
    }
}

impl IntoResponse for Problem {
    /// Carries the problem to the edge, where it gets its words.
    fn into_response(self) -> Response {
        let mut answer = self.code.status().into_response();
        answer.extensions_mut().insert(self);
        answer
    }
}

impl From<crate::store::StoreError> for Problem {
    fn from(error: crate::store::StoreError) -> Self {
        use crate::store::StoreError;
        match error {
            StoreError::Disk(_) => {
                tracing::warn!(%error, "the database cannot write");
                Code::DiskFull.into()
            }
            StoreError::Busy(_) => {
                tracing::warn!(%error, "the database is busy");
                Code::Busy.into()
            }
            StoreError::Failed(_) => {
                tracing::error!(%error, "the database failed");
                Code::Failed.into()
            }
        }
    }
}

fn tag(language: Language) -> &'static str {
    match language {
        Language::En => "en",
        Language::Zh => "zh",
    }
}

/// The language that a request prefers: the first of its list that we speak.
#[must_use]
pub fn language(headers: &HeaderMap) -> Language {
    let wished = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let first = wished.split(',').map(str::trim).find(|tag| tag.starts_with("zh") || tag.starts_with("en"));
    if first.is_some_and(|tag| tag.starts_with("zh")) { Language::Zh } else { Language::En }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_problem_speaks_two_languages() {
        for code in Code::ALL {
            let (en, zh) = (code.texts(Language::En), code.texts(Language::Zh));
            assert!(en.iter().all(|text| text.is_ascii() && !text.is_empty()), "{en:?}");
            assert!(!zh[0].is_ascii() && !zh[2].is_ascii(), "{zh:?}");
            assert_eq!(en[1].contains("{}"), zh[1].contains("{}"), "{code:?}");
            assert!(code.status().is_client_error() || code.status().is_server_error());
            assert_eq!(Code::ALL.iter().filter(|other| other.id() == code.id()).count(), 1, "{code:?}");
        }
    }

    #[test]
    fn languages_follow_the_list() {
        let check = |wished: &str, expected| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_LANGUAGE, wished.parse().unwrap());
            assert_eq!(language(&headers), expected, "{wished}");
        };
        check("zh-CN,zh;q=0.9,en;q=0.8", Language::Zh);
        check("de, en-GB;q=0.9, zh;q=0.1", Language::En);
        check("fr", Language::En);
        assert_eq!(language(&HeaderMap::new()), Language::En);
    }
}
