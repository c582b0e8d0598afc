//! Every sentence that the agent's commands say to a person, in both languages, by one name each.
//!
//! `{}` stands for a value; values that come from strangers are made safe by whoever fills them in.

use cloud_doctor_proto::refusal::Language;

macro_rules! messages {
    ($($name:ident, $en:literal, $zh:literal;)*) => {
        /// A sentence.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Message { $($name,)* }

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
    StandaloneReady,
        "The agent runs as {}. Stop it with Ctrl-C.",
        "代理以 {} 身份运行。按 Ctrl-C 停止。";
    StandaloneNeedsDir,
        "`run --standalone` needs --state-dir: everything it keeps goes there.",
        "`run --standalone` 需要 --state-dir:其所有数据都保存在该目录中。";
    RunByServices,
        "An installed agent is run by systemd: `systemctl start cloud-doctor.target`. For a trial without systemd: `cloud-doctor-agent run --standalone --state-dir DIR`.",
        "已安装的代理由 systemd 运行:`systemctl start cloud-doctor.target`。无 systemd 试用:`cloud-doctor-agent run --standalone --state-dir DIR`。";
    NotEnrolled,
        "This server is not enrolled: {}. Run `cloud-doctor-agent enrol` first.",
        "此服务器尚未注册:{}。请先运行 `cloud-doctor-agent enrol`。";
    AlreadyEnrolled,
        "This server is enrolled already ({}). To enrol it elsewhere, run `cloud-doctor-agent unenrol` first.",
        "此服务器已注册({})。若要注册到别处,请先运行 `cloud-doctor-agent unenrol`。";
    CannotStart,
        "The agent cannot start: {}",
        "代理无法启动:{}";
    Failed,
        "Failed: {}",
        "失败:{}";
    NotPermitted,
        "Only root may do that here: {}",
        "此操作仅限 root:{}";
    GuardAway,
        "The guard is not running: {}",
        "guard 未运行:{}";
    BadToken,
        "The token cannot be used: {}.",
        "令牌无法使用:{}。";
    TokenFile,
        "The token file cannot be read: {}",
        "无法读取令牌文件:{}";
    TokenOtherCustomer,
        "The token is for another customer than --trust says. Nothing was enrolled. Ask whoever gave you both.",
        "令牌所属客户与 --trust 不一致。未注册任何内容。请向提供者核实。";
    WrongWords,
        "The relay's trust log is not the one that --trust names. Nothing was enrolled and nothing is trusted. Compare the six words again; if they are right, somebody is in between.",
        "中继提供的信任日志与 --trust 不符。未注册,也不信任任何人。请重新核对六个词;如果无误,说明有人在中间。";
    LogBroken,
        "The relay's trust log does not verify: {}. Nothing was enrolled.",
        "中继提供的信任日志无法验证:{}。未注册任何内容。";
    BatchUnknown,
        "The token's batch is not in the customer's trust log, or is used up or past its last day. Ask for a new token.",
        "令牌批次不在客户的信任日志中,或已用尽、过期。请索取新的令牌。";
    EnrolFailed,
        "Not enrolled: {}.",
        "未注册:{}。";
    BadPin,
        "{}",
        "固定值无效:{}";
    EnrolIntro,
        "This will enrol this server as \"{}\" with the relay {}.",
        "将把此服务器以 \"{}\" 注册到中继 {}。";
    EnrolCeiling,
        "It writes this ceiling to {}:",
        "将把以下权限上限写入 {}:";
    EnrolCeilingKept,
        "A ceiling is there already and stays as it is: {}",
        "已存在权限上限,将保持不变:{}";
    EnrolLeaves,
        "What leaves this server: its name, operating system, kernel and processor type; its public keys; how far its trust log goes; when it is connected. Shells and commands leave it sealed, for the engineer alone; the relay sees their size and time.",
        "离开此服务器的数据:主机名、操作系统、内核和处理器类型;公钥;信任日志进度;连接时间。会话与命令加密后仅工程师可见;中继只能看到其大小和时间。";
    EnrolAsk,
        "Enrol this server? [y/N] ",
        "注册此服务器?[y/N] ";
    EnrolNo,
        "Nothing was changed.",
        "未做任何更改。";
    EnrolDryRun,
        "Dry run: nothing was changed and nobody was contacted.",
        "试运行:未做任何更改,也未联系任何人。";
    Enrolled,
        "Enrolled. This server's id is {}, its name is {}.",
        "注册成功。服务器 ID 为 {},名称为 {}。";
    EnrolNextSystem,
        "Start it: systemctl enable --now cloud-doctor.target",
        "启动:systemctl enable --now cloud-doctor.target";
    EnrolNextStandalone,
        "Start it: cloud-doctor-agent run --standalone --state-dir {}",
        "启动:cloud-doctor-agent run --standalone --state-dir {}";
}

impl Message {
    /// The sentence with its values, in order.
    pub(crate) fn text(self, language: Language, values: &[&str]) -> String {
        let mut parts = self.template(language).split("{}");
        let mut text = parts.next().unwrap_or_default().to_owned();
        let mut values = values.iter();
        for part in parts {
            text.push_str(values.next().copied().unwrap_or_default());
            text.push_str(part);
        }
        text
    }
}

/// The language that the person's locale asks for.
pub(crate) fn language() -> Language {
    let get = |name| std::env::var(name).ok();
    Language::from_locale(get("LC_ALL").as_deref(), get("LC_MESSAGES").as_deref(), get("LANG").as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sentence_has_both_languages_with_the_same_values() {
        for message in Message::ALL {
            let (en, zh) = (message.template(Language::En), message.template(Language::Zh));
            assert_eq!(en.matches("{}").count(), zh.matches("{}").count(), "{en}");
            assert!(en.is_ascii() && !zh.is_ascii(), "{en}");
        }
        assert_eq!(Message::Enrolled.text(Language::En, &["a", "{}"]), "Enrolled. This server's id is a, its name is {}.");
    }
}
