//! Why an entry may not be appended to a trust log: one name per rule, one sentence per name and language.

use crate::ids::TenantId;
use crate::pack::PackError;
use crate::refusal::Language;
use crate::signer::SignerError;

macro_rules! rules {
    ($($name:ident: $en:literal, $zh:literal;)*) => {
        /// Rules of the log.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Rule { $(#[doc = $en] $name,)* }

        impl Rule {
            /// All of them, for tests that must not forget one.
            pub const ALL: &'static [Rule] = &[$(Rule::$name,)*];

            /// The rule in a language, as part of a sentence.
            #[must_use]
            pub fn text(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Rule::$name, Language::En) => $en, (Rule::$name, Language::Zh) => $zh,)*
                }
            }
        }
    };
}

rules! {
    GenesisFirst: "the first entry must be a genesis", "首条必须是创始条目";
    GenesisShape: "the first entry is malformed", "首条格式不对";
    OneGenesis: "a log has one genesis", "日志只有一条创始条目";
    Version: "entries of another version", "条目版本不同";
    Full: "the log is full", "日志已满";
    Roots: "a customer has 1 to 16 roots", "客户须有 1 至 16 把根密钥";
    SameRoots: "two roots are the same key", "两把根密钥相同";
    RecoveryApart: "the recovery key must be another key than the roots", "恢复密钥不得同时是根密钥";
    NameLength: "a name is empty or too long", "名称为空或过长";
    NameHidden: "a name holds control characters or characters that cannot be seen", "名称含有控制字符或不可见字符";
    RootAlready: "this key is a root already", "该密钥已是根密钥";
    NoRoot: "this key is no root", "该密钥不是根密钥";
    LastRoot: "the last root cannot be removed; add another first", "不能移除最后一把根密钥；请先添加另一把";
    PersonDays: "a key is valid for at most 90 days", "密钥有效期最长 90 天";
    PersonPast: "the key's last day is in the past", "密钥的截止日期已过";
    OtherRole: "this key has another role; remove it first", "该密钥已有其他角色；请先移除";
    OtherKind: "this key is listed as another kind; remove it first", "该密钥已列为其他类型；请先移除";
    RootKind: "a browser's key cannot be a root or recovery key", "浏览器密钥不能作为根密钥或恢复密钥";
    RecoveryKind: "the recovery key must not depend on a browser", "恢复密钥不得依赖浏览器";
    PasskeyKind: "this key is a passkey's and must be listed as one, or is none", "该密钥的类型与通行密钥不符";
    FirstCount: "the first entry holds at most eight people and install tokens", "首条中最多另含八项人员与安装令牌";
    AheadSelf: "nobody signs ahead for themselves: that takes an approver or root who is another person", "不能为自己预先签署：须由另一位审批人或根密钥持有人签署";
    AheadDevice: "a browser's key cannot sign ahead", "浏览器密钥不能预先签署";
    AheadHours: "what is signed ahead begins within seven days, ends later and lasts at most a day", "预先签署须在七天内开始，且最长一天";
    AheadScopes: "what is signed ahead names one to eight kinds of access, sorted and different", "预先签署须列出一至八项互不相同且已排序的权限";
    AheadMany: "at most 64 things are signed ahead at once; end one first", "同时最多有 64 项预先签署；请先结束一项";
    NoAhead: "nothing with this number is signed ahead", "没有此编号的预先签署";
    Nobody: "nobody has this key", "没有人持有该密钥";
    BatchDays: "a batch lives at most seven days", "批次有效期最长七天";
    BatchUses: "a batch binds 1 to 10,000 servers", "一个批次可绑定 1 至 10,000 台服务器";
    BatchPast: "the enrolment batch is past its last moment", "接入批次已过期";
    Backdated: "the entry is dated before the log's newest", "条目日期早于日志最新条目";
    NoteLength: "the note is too long", "备注过长";
    Enrolled: "this server is enrolled already", "该服务器已接入";
    NoServer: "no such server", "没有该服务器";
    PolicyLength: "the policy is too long", "策略过长";
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text(Language::En))
    }
}

/// An entry that may not be appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Not its one form.
    #[error("entry {seq} is {error}")]
    Pack {
        /// Expected number.
        seq: u64,
        /// What is wrong.
        error: PackError,
    },
    /// Does not follow the newest entry: another history.
    #[error("entry {found} does not continue the log at {expected}")]
    Fork {
        /// Number that was expected.
        expected: u64,
        /// Number that came.
        found: u64,
    },
    /// The first entry is not the pinned one.
    #[error("the log begins with {found}, pinned is {pinned}")]
    OtherTenant {
        /// Pinned customer.
        pinned: TenantId,
        /// Customer that came.
        found: TenantId,
    },
    /// The signer may not say this.
    #[error("entry {seq}: key {by} may not sign this")]
    NotAllowed {
        /// Number of the entry.
        seq: u64,
        /// Short id of the key.
        by: String,
    },
    /// The signature does not verify.
    #[error("entry {seq}: {error}")]
    Signature {
        /// Number of the entry.
        seq: u64,
        /// Why.
        error: SignerError,
    },
    /// A rule of the log is broken.
    #[error("entry {seq}: {rule}")]
    Rule {
        /// Number of the entry.
        seq: u64,
        /// Which rule.
        rule: Rule,
    },
    /// No entries at all.
    #[error("the log is empty")]
    Empty,
}

impl LogError {
    /// What is wrong, in a language, as part of a sentence.
    #[must_use]
    pub fn text(&self, language: Language) -> String {
        match (language, self) {
            (Language::En, _) => self.to_string(),
            (Language::Zh, LogError::Pack { seq, .. }) => format!("第 {seq} 条不是规范格式"),
            (Language::Zh, LogError::Fork { expected, found }) => format!("第 {found} 条与日志第 {expected} 条不连续"),
            (Language::Zh, LogError::OtherTenant { pinned, found }) => {
                format!("日志首条为 {found}，已固定的是 {pinned}")
            }
            (Language::Zh, LogError::NotAllowed { seq, by }) => format!("第 {seq} 条：密钥 {by} 无权签署"),
            (Language::Zh, LogError::Signature { seq, .. }) => format!("第 {seq} 条的签名无效"),
            (Language::Zh, LogError::Rule { seq, rule }) => format!("第 {seq} 条：{}", rule.text(language)),
            (Language::Zh, LogError::Empty) => "日志为空".to_owned(),
        }
    }
}
