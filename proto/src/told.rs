//! What a server tells about itself inside another sentence: an id and its values travel, the words are made where they
//! are read, in the reader's language.
//!
//! Ids are for ever. A newer server's id that a client does not know shows its values. Values that come from the
//! operating system ("Permission denied") stay as it says them.

use crate::refusal::{Language, one_line};
use serde::{Deserialize, Serialize};

/// Characters of one value: a path, a program's name, what the system says.
const VALUE_CHARS_MAX: usize = 250;

/// A part of a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Which.
    pub code: Tell,
    /// Its values, in order.
    #[serde(default)]
    pub values: Vec<String>,
}

macro_rules! tells {
    ($($name:ident, $id:literal, $en:literal, $zh:literal;)*) => {
        /// What can be told.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Tell {
            $(#[doc = concat!("`", $id, "`")] #[serde(rename = $id)] $name,)*
            /// Something of a newer server.
            #[serde(other)]
            Unknown,
        }

        impl Tell {
            /// All that this build tells.
            pub const ALL: &'static [Tell] = &[$(Tell::$name,)*];

            fn template(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Tell::$name, Language::En) => $en, (Tell::$name, Language::Zh) => $zh,)*
                    (Tell::Unknown, Language::En) => "a reason that this client does not know; update it",
                    (Tell::Unknown, Language::Zh) => "本客户端未知的原因，请更新客户端",
                }
            }
        }
    };
}

tells! {
    // Starting a shell or command.
    NoUser, "no-user", "user {0} does not exist on this server", "此服务器上没有用户 {0}";
    NotAUserName, "not-a-user-name", "\"{0}\" is not a user name", "\"{0}\" 不是用户名";
    HostFile, "host-file", "{0} cannot be read: {1}", "无法读取 {0}：{1}";
    DirectorySlow, "directory-slow",
        "{0} did not answer within 5 s; the user directory of this server may be down",
        "{0} 在 5 秒内没有应答；此服务器的用户目录服务可能已停止";
    CannotBecome, "cannot-become",
        "this agent runs as {0} without root rights and cannot become {1}",
        "此 Agent 以 {0} 运行，没有 root 权限，无法成为 {1}";
    NoLoginShell, "no-login-shell",
        "the login shell {0} of user {1} does not exist",
        "用户 {1} 的登录 shell {0} 不存在";
    ShellNotExecutable, "shell-not-executable",
        "the login shell {0} of user {1} is not executable",
        "用户 {1} 的登录 shell {0} 不可执行";
    NoLogin, "no-login",
        "user {0} may not log in: its login shell is {1}",
        "用户 {0} 不允许登录：其登录 shell 为 {1}";
    RootByAnotherName, "root-by-another-name",
        "user {0} is root under another name; ask for root",
        "用户 {0} 是 root 的别名；请直接请求 root";
    SystemCall, "system-call", "{0} failed: {1}", "{0} 失败：{1}";
    NoCommand, "no-command", "{0}: no such command", "{0}：没有此命令";
    NotExecutable, "not-executable", "{0}: not executable by this user", "{0}：此用户无权执行";
    NotRun, "not-run", "{0} cannot be run: {1}", "无法运行 {0}：{1}";
    NoHome, "no-home",
        "the home directory {0} cannot be entered ({1}); it starts in /",
        "无法进入主目录 {0}（{1}）；将从 / 开始";
    NoProcess, "no-process", "no process can be started: {0}", "无法启动进程：{0}";
    NoTerminal, "no-terminal", "no terminal can be opened: {0}", "无法打开终端：{0}";
    EndedEarly, "ended-early",
        "the process that was to become the shell ended early; see the server's system log",
        "将成为 shell 的进程提前结束；请查看服务器的系统日志";
    // A ceiling that allows nothing.
    NoCeilingFile, "no-ceiling-file", "{0} cannot be read: {1}", "无法读取 {0}：{1}";
    CeilingLinked, "ceiling-linked",
        "{0} must be a regular file in a real directory, without links",
        "{0} 必须是真实目录中的普通文件，不能是链接";
    CeilingOwner, "ceiling-owner", "{0} must belong to root", "{0} 必须属于 root";
    CeilingWritable, "ceiling-writable",
        "{0} must not be writable by group or others (chmod go-w)",
        "{0} 不得对组或其他用户可写（chmod go-w）";
    CeilingTooLong, "ceiling-too-long", "{0} has {1} bytes, more than are read", "{0} 有 {1} 字节，超过可读取的上限";
    CeilingParse, "ceiling-parse", "{0} does not parse: {1}", "{0} 无法解析：{1}";
    CeilingVersion, "ceiling-version",
        "{0} has version {1}; this agent reads version 1",
        "{0} 的版本为 {1}；此 Agent 只读版本 1";
    CeilingCut, "ceiling-cut",
        "the last line of {0} is not [end]: it may be cut off. Look whether it is whole, then write [end] as its last line",
        "{0} 的末行不是 [end]，文件可能被截断。请检查内容是否完整，然后以 [end] 作为末行";
    // A plugin of a ceiling that is not wholly right.
    PluginId, "plugin-id",
        "{0}: plugin {1}: an id is like x.site.raid, of a-z, 0-9 and -",
        "{0}：插件 {1}：id 应形如 x.site.raid，仅含 a-z、0-9 与 -";
    PluginExec, "plugin-exec",
        "{0}: plugin {1}: exec must be an absolute path; no shell looks for it",
        "{0}：插件 {1}：exec 必须是绝对路径；不会经过 shell 查找";
    PluginArgs, "plugin-args",
        "{0}: plugin {1}: args are {2} texts of {3} bytes at most",
        "{0}：插件 {1}：args 最多 {2} 项，每项最多 {3} 字节";
    PluginTimeout, "plugin-timeout",
        "{0}: plugin {1}: timeout is between 1s and {2}s, like 8s",
        "{0}：插件 {1}：timeout 应在 1s 与 {2}s 之间，例如 8s";
    PluginTwice, "plugin-twice",
        "{0}: plugin {1} is there already; give it another id",
        "{0}：插件 {1} 已经存在；请改用其他 id";
    PluginsMany, "plugins-many",
        "{0}: {1} plugins at most can be declared",
        "{0}：最多可声明 {1} 个插件";
    // Signers.
    NoLocalSigner, "no-local-signer",
        "local: this agent runs without a user of its own for the tunnel",
        "local：此 Agent 的 tunnel 没有独立用户";
}

impl Tell {
    /// With its values.
    #[must_use]
    pub fn with(self, values: &[&dyn std::fmt::Display]) -> Told {
        let value = |value: &&dyn std::fmt::Display| value.to_string().chars().take(VALUE_CHARS_MAX).collect();
        Told { code: self, values: values.iter().map(value).collect() }
    }
}

impl Told {
    /// The words in a language. Whatever is in the values, nothing draws on a screen.
    #[must_use]
    pub fn text(&self, language: Language) -> String {
        let mut text = self.code.template(language).to_owned();
        let values = self.values.iter().take(4).map(|value| one_line(value, VALUE_CHARS_MAX));
        if self.code == Tell::Unknown {
            return [text].into_iter().chain(values).collect::<Vec<_>>().join(" · ");
        }
        // From the last place on, so that a value with braces in it is not filled again.
        for (number, value) in values.enumerate().collect::<Vec<_>>().into_iter().rev() {
            text = text.replace(&format!("{{{number}}}"), &value);
        }
        text
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text(Language::En))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn everything_is_told_in_two_languages_and_survives_the_wire() {
        for code in Tell::ALL {
            let (en, zh) = (code.template(Language::En), code.template(Language::Zh));
            assert!(en.is_ascii() && !zh.is_ascii(), "{en} / {zh}");
            for place in ["{0}", "{1}", "{2}", "{3}"] {
                assert_eq!(en.matches(place).count(), zh.matches(place).count(), "{en}");
            }
            let told = code.with(&[&"a", &"b", &"c", &"d"]);
            let bytes = crate::pack::to_bytes(&told);
            assert_eq!(crate::pack::from_bytes::<Told>(&bytes, 1000).unwrap(), told);
            assert!(!told.to_string().contains(['{', '}']), "{told}");
        }
    }

    #[test]
    fn newer_ids_show_their_values_and_values_draw_nothing() {
        let newer = r#"{"code":"moon-phase","values":["full","a\u001b[2Jb"]}"#;
        let told: Told = serde_json::from_str(newer).unwrap();
        assert_eq!(told.text(Language::Zh), "本客户端未知的原因，请更新客户端 · full · a\\u{1b}[2Jb");
        assert_eq!(Tell::HostFile.with(&[&"{1}", &"x\r\n"]).to_string(), "{1} cannot be read: x\\u{d}\\u{a}");
        assert!(Tell::NoUser.with(&[&"x".repeat(9000)]).to_string().len() < 400);
        let short = Told { code: Tell::HostFile, values: Vec::new() };
        assert_eq!(short.to_string(), "{0} cannot be read: {1}");
    }
}
