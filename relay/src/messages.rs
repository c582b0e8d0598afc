//! What the relay's command line says, in English and Chinese, from one id each.

use cloud_doctor_proto::refusal::Language;

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident $en:literal $zh:literal;)*) => {
        /// A sentence for the terminal. `{}` are filled in order.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Message { $($(#[$doc])* $name,)* }

        impl Message {
            #[cfg(test)]
            const ALL: &'static [Message] = &[$(Message::$name,)*];

            fn template(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Message::$name, Language::En) => $en, (Message::$name, Language::Zh) => $zh,)*
                }
            }
        }
    };
}

messages! {
    /// Agents' listener: address, pin, next pin.
    Agents "agents   quic://{}  pin {}  next pin {}" "代理     quic://{}  指纹 {}  备用指纹 {}";
    /// Clients' listener with TLS: address, pin.
    Clients "clients  https://{}  pin {}" "客户端   https://{}  指纹 {}";
    /// Clients' listener without TLS: address.
    ClientsPlain "clients  http://{}  (plain HTTP, loopback only)" "客户端   http://{}  （明文 HTTP，仅限本机）";
    /// Operator's listener: address.
    Admin "admin    http://{}/metrics and /healthz" "管理     http://{}/metrics 与 /healthz";
    /// First-run set-up: code. The first three words are for programs and the same in every language.
    SetUp "set-up code {}" "set-up code {}";
    /// What to do with the code: address, and the pin as an option.
    SetUpHow "         counts once, within 30 minutes: cloud-doctor setup {}{}"
        "         仅一次，30 分钟内有效：cloud-doctor setup {}{}";
    /// The same in a browser: link.
    SetUpLink "         or in a browser: {}" "         或在浏览器中：{}";
    /// Ready.
    Ready "ready; Ctrl-C stops the relay" "已就绪；按 Ctrl-C 停止中继";
    /// Configuration is right: file.
    ConfigGood "{}: no errors" "{}：没有错误";
    /// A file was written.
    Written "written: {}" "已写入：{}";
    /// A file is there already.
    Exists "{} exists already; nothing was changed" "{} 已存在；未作更改";
    /// A backup was written: folder.
    BackedUp "backup written to {}; it holds the relay's keys: keep it as safe as the relay"
        "备份已写入 {}；其中包含中继密钥：请像保护中继一样保护它";
    /// A backup was restored: data directory.
    Restored "restored into {}. Everybody must sign in again and enrolment tokens are revoked; accounts and passwords are those of the backup: check them"
        "已恢复到 {}。所有人须重新登录，接入令牌已吊销；账号和密码以备份为准：请检查";
    /// What was there before was moved: folder.
    MovedAside "what was there before is in {}" "原有内容已移至 {}";
    /// A customer was added: name, account.
    TenantAdded "customer {} added with admin account {}" "已添加客户 {}，管理员账号 {}";
    /// Errors in the configuration: file, lines.
    ConfigBad "{} has errors:\n{}" "{} 有错误：\n{}";
    /// Another error: text.
    Failed "cloud-doctor-relay: {}" "cloud-doctor-relay:{}";
}

impl Message {
    /// The sentence with its values.
    #[must_use]
    pub fn with(self, language: Language, values: &[&str]) -> String {
        let mut text = self.template(language).to_owned();
        for value in values {
            text = text.replacen("{}", value, 1);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_have_the_same_values() {
        for message in Message::ALL {
            let count = |language| message.template(language).matches("{}").count();
            assert_eq!(count(Language::En), count(Language::Zh), "{message:?}");
            assert!(message.template(Language::En).is_ascii(), "{message:?}");
        }
    }
}
