//! Every sentence that the agent's commands say to a person, in both languages, by one name each.
//!
//! `{}` stands for a value. Each is made safe where it is put in: a relay's words must not draw on root's screen.

use cloud_doctor_proto::refusal::{Language, one_line};

/// Longest value in a sentence.
const VALUE_CHARS_MAX: usize = 2000;

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
        "Agent 以 {} 身份运行。按 Ctrl-C 停止。";
    StandaloneNeedsDir,
        "`run --standalone` needs --state-dir: everything it keeps goes there.",
        "`run --standalone` 需要 --state-dir：其所有数据都保存在该目录中。";
    RunByServices,
        "An installed agent is run by systemd: `systemctl start cloud-doctor.target`. For a trial without systemd: `cloud-doctor-agent run --standalone --state-dir DIR`.",
        "已安装的 Agent 由 systemd 运行：`systemctl start cloud-doctor.target`。无 systemd 试用：`cloud-doctor-agent run --standalone --state-dir DIR`。";
    NotEnrolled,
        "This server is not enrolled: {}. Run `cloud-doctor-agent enrol` first.",
        "此服务器尚未接入：{}。请先运行 `cloud-doctor-agent enrol`。";
    AlreadyEnrolled,
        "This server is enrolled already ({}). To enrol it elsewhere, run `cloud-doctor-agent unenrol` first.",
        "此服务器已接入（{}）。若要接入别处，请先运行 `cloud-doctor-agent unenrol`。";
    CannotStart,
        "The agent cannot start: {}",
        "Agent 无法启动：{}";
    Failed,
        "Failed: {}",
        "失败：{}";
    ExplainAllChecks,
        "all",
        "全部";
    ExplainOurChecks,
        "all that come with the agent",
        "Agent 自带的全部";
    OwnPlugin,
        "  plugin {}: runs {} as {}, for {} at most. {}",
        "  插件 {}：运行 {}，用户 {}，最长 {}。{}";
    OwnPackCheck,
        "  check {} of the pack {}. {}",
        "  检查 {}，来自检查包 {}。{}";
    OwnFromAfar,
        "The relay may have it run at any time, without a signature.",
        "中继可随时要求运行，无需签名。";
    OwnNotFromAfar,
        "Not from afar now.",
        "目前不允许远程运行。";
    OwnRefused,
        "  Left out: {}: {}",
        "  未采用：{}：{}";
    OwnUnknown,
        "Note: a rule names the check {}, which there is not on this host. `cloud-doctor-agent check --list` shows all.",
        "注意：有规则写了检查 {}，但此主机上没有它。`cloud-doctor-agent check --list` 可列出全部。";
    RecordAnew,
        "What earlier checks found cannot be used, so it begins anew: {}",
        "以往检查结果的记录无法使用，将重新开始：{}";
    RecordNotKept,
        "What was found cannot be kept for the next run: {}",
        "本次检查结果无法留存供下次使用：{}";
    ExplainChecks,
        "  checks {}: the relay may have them run at any time, without a signature. {}",
        "  检查 {}：中继可随时要求运行，无需签名。{}";
    ExplainNoChecks,
        "  checks {}: not from afar now. {}",
        "  检查 {}：目前不允许远程运行。{}";
    ExplainMetrics,
        "  metrics: the relay may show how busy this server is and what happened to it, without a signature. {}",
        "  指标：中继可显示此服务器的繁忙程度和所发生的事件，无需签名。{}";
    ExplainNoMetrics,
        "  metrics: not shown now. {}",
        "  指标：目前不显示。{}";
    ReportLooking,
        "Looking at this host; this takes up to a minute.",
        "正在查看此主机，最多需要一分钟。";
    ReportNoFolder,
        "There is no folder {}. Make it first, or name another place with --out.",
        "目录 {} 不存在。请先创建，或用 --out 指定其他位置。";
    ReportNoFile,
        "{} is no plain file that can be replaced. Name another place with --out.",
        "{} 不是可替换的普通文件。请用 --out 指定其他位置。";
    ReportNoRoom,
        "In {} only {} are free; a report needs {} there, so that it never fills up a disk. Name another place with --out.",
        "{} 仅剩 {} 可用空间；为避免写满磁盘，生成报告需要 {}。请用 --out 指定其他位置。";
    ReportWritten,
        "Report written: {} ({}).",
        "报告已生成：{}（{}）。";
    NoSuchCheck,
        "There is no check and no group {}{}. `cloud-doctor-agent check --list` shows all.",
        "没有名为 {} 的检查或分组{}。`cloud-doctor-agent check --list` 可列出全部。";
    PackTestPassed,
        "ok      {}",
        "通过    {}";
    PackTestFailed,
        "FAILED  {}: {}",
        "失败    {}：{}";
    PackTests,
        "{} tests passed, {} failed.",
        "通过 {} 项，失败 {} 项。";
    PackLocked,
        "{} packs are locked in {}.",
        "已将 {} 个检查包锁定到 {}。";
    NotPermitted,
        "Only root may do that here: {}",
        "此操作仅限 root：{}";
    GuardAway,
        "The guard is not running: {}",
        "guard 未运行：{}";
    BadToken,
        "The token cannot be used: {}.",
        "令牌无法使用：{}。";
    TokenFile,
        "The token file cannot be read: {}",
        "无法读取令牌文件：{}";
    TokenOtherCustomer,
        "The token is for another customer than --trust says. Nothing was enrolled. Ask whoever gave you both.",
        "令牌所属客户与 --trust 不一致。服务器未接入。请向提供者核实。";
    WrongWords,
        "The relay's trust log is not the one that --trust names. Nothing was enrolled and nothing is trusted. Compare the six words again; if they are right, somebody is in between.",
        "中继提供的信任日志与 --trust 不符。未接入，也不信任任何人。请重新核对六个词；如果无误，说明有人在中间。";
    LogBroken,
        "The relay's trust log does not verify: {}. Nothing was enrolled.",
        "中继提供的信任日志无法验证：{}。服务器未接入。";
    BatchUnknown,
        "The token's batch is not in the customer's trust log, or is used up or past its last day. Ask for a new token.",
        "令牌批次不在客户的信任日志中，或已用尽、过期。请索取新的令牌。";
    EnrolFailed,
        "Not enrolled: {}.",
        "未接入：{}。";
    EnrolToken,
        "Not enrolled: the relay does not accept the token: unknown, expired, used up or revoked; ask for a new one.",
        "未接入：中继不接受此令牌（未知、已过期、已用尽或已撤销）；请索取新的令牌。";
    EnrolEntry,
        "Not enrolled: the relay does not accept this server's entry: it may be enrolled already.",
        "未接入：中继不接受此服务器的条目，可能已经接入。";
    EnrolLimited,
        "Not enrolled: too many attempts from this address; wait a minute and try again.",
        "未接入：来自此地址的尝试过多；请等待一分钟后重试。";
    EnrolUnavailable,
        "Not enrolled: the relay cannot enrol servers right now; try again, or ask its operator.",
        "未接入：中继目前无法接入服务器；请重试，或联系其管理员。";
    EnrolUnknown,
        "Not enrolled: the relay refuses for a reason that this version does not know.",
        "未接入：中继因此版本未知的原因拒绝。";
    BadPin,
        "{}",
        "固定值无效：{}";
    EnrolIntro,
        "This will enrol this server as \"{}\" with the relay {}.",
        "将把此服务器以 \"{}\" 接入中继 {}。";
    EnrolCeiling,
        "It writes this ceiling to {}:",
        "将把以下权限上限写入 {}：";
    EnrolCeilingKept,
        "A ceiling is there already and stays as it is: {}",
        "已存在权限上限，将保持不变：{}";
    EnrolLeaves,
        "What leaves this server: its name, operating system, kernel and processor type; its public keys; how far its trust log goes; when it is connected. Shells and commands leave it sealed, for the engineer alone; the relay sees their size and time.",
        "离开此服务器的数据：主机名、操作系统、内核和处理器类型；公钥；信任日志进度；连接时间。会话与命令加密后仅工程师可见；中继只能看到其大小和时间。";
    EnrolAsk,
        "Enrol this server? [y/N] ",
        "接入此服务器？[y/N] ";
    EnrolNo,
        "Nothing was changed.",
        "未做任何更改。";
    EnrolDryRun,
        "Dry run: nothing was changed and nobody was contacted.",
        "试运行：未做任何更改，也未联系任何人。";
    Enrolled,
        "Enrolled. This server's id is {}, its name is {}.",
        "接入成功。服务器 ID 为 {}，名称为 {}。";
    EnrolNextSystem,
        "Start it: systemctl enable --now cloud-doctor.target",
        "启动：systemctl enable --now cloud-doctor.target";
    TrustBroken,
        "The trust files are damaged, so nobody is trusted: {}. Enrol this server again (`cloud-doctor-agent unenrol`, then `enrol`).",
        "信任文件已损坏，因此不信任任何人：{}。请重新接入此服务器（先 `cloud-doctor-agent unenrol`，再 `enrol`）。";
    LockedDown,
        "LOCKED DOWN: nobody gets in. Undo it with: cloud-doctor-agent lockdown --undo",
        "已锁定：任何人都无法进入。解除：cloud-doctor-agent lockdown --undo";
    LockdownDone,
        "Locked down. {} shells and commands were ended; nobody gets in until `cloud-doctor-agent lockdown --undo`.",
        "已锁定。结束了 {} 个会话和命令；在执行 `cloud-doctor-agent lockdown --undo` 之前任何人都无法进入。";
    LockdownUndone,
        "The server is open again, as far as its ceiling allows.",
        "服务器已重新开放，以权限上限为准。";
    StatusAgent,
        "Agent {} (version {})",
        "Agent {}（版本 {}）";
    StatusTenant,
        "Customer {}, trust log at entry {}",
        "客户 {}，信任日志条目 {}";
    StatusCeiling,
        "Ceiling: {}",
        "权限上限：{}";
    StatusNoCeiling,
        "Nothing is allowed, because the ceiling cannot be used: {}",
        "权限上限无法使用，因此不允许任何操作：{}";
    StatusFork,
        "WARNING: a root of the customer signed two different trust logs. Proof: {}",
        "警告：客户的根密钥签署了两份不同的信任日志。证据：{}";
    StatusRelay,
        "Relay {}: connected, {} ms",
        "中继 {}：已连接，{} 毫秒";
    StatusRelayDown,
        "Relay {}: not connected: {}",
        "中继 {}：未连接：{}";
    StatusNoTunnel,
        "The tunnel has not reported yet.",
        "tunnel 尚未报告。";
    StatusNobody,
        "No visits.",
        "当前没有远程协助。";
    StatusVisit,
        "Visit of {} ({}), {} min left, reason: {} [{}]",
        "{} 的远程协助（{}），剩余 {} 分钟，原因：{} [{}]";
    StatusWatched,
        "    watched by {}",
        "    旁观者：{}";
    StatusChannel,
        "  {} as {}, {} min old, {} [{}]",
        "  {}，用户 {}，已运行 {} 分钟，{} [{}]";
    StateAttached,
        "attached",
        "已连接";
    StateDetached,
        "detached",
        "已断开";
    StateOver,
        "over",
        "已结束";
    PendingHead,
        "Waiting for a second signature [{}], {} min left:",
        "等待第二个签名 [{}]，剩余 {} 分钟：";
    PendingWho,
        "  engineer: {} (key {})",
        "  工程师：{}（密钥 {}）";
    PendingWhat,
        "  wants:    {}, for {} min",
        "  请求：{}，时长 {} 分钟";
    PendingWhy,
        "  reason:   {}  ticket: {}",
        "  原因：{}  工单：{}";
    PendingWords,
        "  words:    {}  (the engineer sees the same ones)",
        "  六个词：{}（工程师看到的应相同）";
    ApproveAsk,
        "Do the words match, and may they? [y/N] ",
        "词语一致，并且允许吗？[y/N] ";
    Approved,
        "Approved.",
        "已批准。";
    Denied,
        "Denied. The engineer is told.",
        "已拒绝，并已通知工程师。";
    StillWaits,
        "Not approved; it still waits. `cloud-doctor-agent deny` says no.",
        "未批准，仍在等待。`cloud-doctor-agent deny` 可拒绝。";
    NothingWaits,
        "No such grant waits for a second signature.",
        "没有等待第二个签名的此类授权。";
    WhichOne,
        "Several grants wait. Name one by the digits in brackets.",
        "有多个授权在等待。请用方括号中的数字指定一个。";
    NoLocalSigner,
        "This agent runs as one user, so root's word cannot be told from the tunnel's. Approve with a key of the trust log: cloud-doctor approve.",
        "此 Agent 以单一用户运行，无法区分 root 与 tunnel。请使用信任日志中的密钥批准：cloud-doctor approve。";
    AuditBad,
        "The audit log does not verify from here on: {}",
        "审计日志从此处起无法验证：{}";
    AuditEmpty,
        "The audit log holds no line: this agent has never run, or somebody removed the log.",
        "审计日志中没有任何记录：此代理从未运行过，或日志已被删除。";
    CeilingGood,
        "{} is valid and in force ({} rules).",
        "{} 有效且已生效（{} 条规则）。";
    CeilingLater,
        "Note: this version cannot do {} yet, so that rule opens nothing.",
        "注意：此版本尚不支持 {}，因此该规则不会开放任何内容。";
    CeilingBad,
        "This ceiling allows nothing: {}",
        "此权限上限不允许任何操作：{}";
    StopFirst,
        "The agent is running. Stop it first: systemctl stop cloud-doctor.target, or Ctrl-C where it runs standalone.",
        "Agent 正在运行。请先停止：systemctl stop cloud-doctor.target，或在独立运行处按 Ctrl-C。";
    UnenrolIntro,
        "This server ({}) leaves its customer and relays. Its keys and pinned log are removed; the audit stays in {}.",
        "此服务器（{}）将离开其客户和中继。密钥和固定日志将被删除；审计日志保留在 {}。";
    UnenrolAsk,
        "Leave? [y/N] ",
        "确定离开？[y/N] ";
    RelayNotTold,
        "The relay {} could not be told ({}). Its operator can remove this server there.",
        "无法通知中继 {}（{}）。其管理员可在那里删除此服务器。";
    Unenrolled,
        "This server has left.",
        "此服务器已离开。";
    ExplainAgent,
        "This server: {}",
        "此服务器：{}";
    ExplainTenant,
        "Pinned customer: {} ({})",
        "固定的客户：{}（{}）";
    ExplainRelay,
        "Relay {}, pinned {}",
        "中继 {}，固定 {}";
    ExplainCeiling,
        "By the ceiling {}, the first rule that fits decides:",
        "根据权限上限 {}，由第一条匹配的规则决定：";
    ExplainNever,
        "  {} as {}: never",
        "  {}，用户 {}：从不允许";
    ExplainAskRule,
        "  {} as {}: with an engineer's signature ({}) and a second one, at most {}, second signer: {}",
        "  {}，用户 {}：需要工程师签名（{}）及第二个签名，最长 {}，第二签名者：{}";
    ExplainAheadRule,
        "    The second signature may be given ahead, for at most a day.",
        "    第二签名可预先给出，最长一天。";
    ExplainAhead,
        "Signed ahead by {} (entry {} of the trust log): {} needs no second signature from {} until {} for {}. Why: {}",
        "{} 已预先签署（信任日志第 {} 条）：{} 自 {} 至 {} 无需第二签名，限于 {}。原因：{}";
    ExplainThisServer,
        "this server",
        "本服务器";
    ExplainAskLook,
        "  {} of {}: with an approver's own signature ({}), or an engineer's ({}) and a second one; at most {}",
        "  {}，对象 {}：审批人签名（{}）即可，或工程师签名（{}）加第二个签名；最长 {}";
    ExplainAllowLook,
        "  {} of {}: with the signature of an engineer or an approver ({}), at most {} {}",
        "  {}，对象 {}：工程师或审批人签名（{}）即可，最长 {} {}";
    ExplainAllow,
        "  {} as {}: with an engineer's signature ({}), at most {} {}",
        "  {}，用户 {}：需要工程师签名（{}），最长 {} {}";
    ExplainClosed,
        "  {} as {}: not at this hour (at most {}; {})",
        "  {}，用户 {}：当前时段不允许（最长 {}；{}）";
    ExplainPerson,
        "{} may sign as {} until {} ({} {})",
        "{} 可作为 {} 签名，至 {}（{} {}）";
    ExplainExpired,
        "{} may not sign as {} any more, since {} ({} {})",
        "{} 不再可作为 {} 签名，自 {} 起（{} {}）";
    ExplainNobody,
        "Nobody may sign: the customer has added no engineer.",
        "无人可签名：客户尚未添加工程师。";
    ExplainLast,
        "Last requests:",
        "最近的请求：";
    VisitNeedsRoot,
        "A visit needs root here, also so that the part which speaks to the network can run as nobody: sudo cloud-doctor-agent visit CODE",
        "远程协助需要 root 权限，这样与网络通信的部分才能以无权限用户运行：sudo cloud-doctor-agent visit CODE";
    VisitBadCode,
        "This is no code: {}.",
        "这不是有效的代码：{}。";
    VisitOwnCeiling,
        "This server has a ceiling of its own, which holds for visits too, but it cannot be used: {}. Correct or remove it, then try again.",
        "此服务器有自己的权限上限（同样适用于远程协助），但无法使用：{}。请修正或删除后重试。";
    VisitLockedDown,
        "This server is locked down. Open it first: cloud-doctor-agent lockdown --undo",
        "此服务器已锁定。请先解除：cloud-doctor-agent lockdown --undo";
    VisitNeedsTerminal,
        "A visit is answered by a person at a terminal; standard input is none.",
        "远程协助须由人在终端上回答；标准输入不是终端。";
    VisitMeeting,
        "Asking {} who wants to help. It learns this server's name, system, kernel, kind of machine and address.",
        "正在向 {} 询问谁要提供协助。它会获知此服务器的名称、系统、内核、机器类型和地址。";
    VisitOtherKey,
        "{} is not the relay that this code names: its key is another one. Read the code once more; if it stays so, somebody stands in between.",
        "{} 不是此代码所指的中继：其密钥不同。请再次核对代码；若仍如此，则有人从中冒充。";
    VisitUnknownCode,
        "The relay does not know this code: it is wrong, was used already, or is older than half an hour. Ask for a new one.",
        "中继不认识此代码：代码有误、已被使用，或已超过半小时。请索取新的代码。";
    VisitOffer,
        "{} offers to help (as {} says; key {}).",
        "{} 提出协助（据 {} 所述；密钥 {}）。";
    VisitWaiting,
        "Nothing is opened on this server before you type six words that the engineer reads to you. Stay on the phone. Ctrl-C ends everything at any time.",
        "在您输入工程师念给您的六个单词之前，此服务器上不会打开任何内容。请保持通话。随时可按 Ctrl-C 结束一切。";
    VisitAsks,
        "{} asks for {} minutes as:",
        "{} 请求时长 {} 分钟，内容：";
    VisitScope,
        "  - {}",
        "  · {}";
    VisitWhy,
        "  Reason: \"{}\"  {}",
        "  原因：“{}”  {}";
    VisitAsk,
        "To say yes, type the six words that the engineer reads to you (four letters of each will do); to say no, press Enter: ",
        "如同意，请输入工程师念给您的六个单词（每个单词前四个字母即可）；如拒绝，请直接按回车：";
    VisitOtherWords,
        "These are other words than this request has. Listen once more. If they stay different, somebody stands in between: press Enter and ask on the phone.",
        "与此请求的单词不符。请再听一遍。若仍不同，则有人从中冒充：请按回车并在电话中询问。";
    VisitGone,
        "The request was taken back, or waited too long.",
        "该请求已被撤回，或等待超时。";
    VisitDenied,
        "Denied. Nothing was started.",
        "已拒绝。未启动任何内容。";
    VisitDeniedMore,
        "Denied, and everything that was open is ended.",
        "已拒绝，所有已打开的内容均已结束。";
    VisitNobody,
        "Nobody asked for anything within half an hour. Ask for a new code.",
        "半小时内无人提出请求。请索取新的代码。";
    VisitOwnWord,
        "This server was locked down or its ceiling changed: the visit is ended.",
        "此服务器已被锁定或其权限上限已更改：远程协助已结束。";
    VisitOpen,
        "Open for {} minutes. Everything that is started stands here; Ctrl-C ends it.",
        "已开放 {} 分钟。所有启动的内容都会显示在此；按 Ctrl-C 结束。";
    VisitOver,
        "The visit is over.",
        "远程协助已结束。";
    VisitEndedThere,
        "The engineer or the relay has ended it.",
        "工程师或中继已结束协助。";
    VisitRecord,
        "All its shells are ended, its keys are removed. What remains is the signed record. To check it: cloud-doctor verify-audit --show --identity {} {}/*.jsonl",
        "其所有会话均已结束，密钥已删除。仅保留已签名的记录。校验方法：cloud-doctor verify-audit --show --identity {} {}/*.jsonl";
    EnrolNextStandalone,
        "Start it: cloud-doctor-agent run --standalone --state-dir {}",
        "启动：cloud-doctor-agent run --standalone --state-dir {}";
}

impl Message {
    /// The sentence with its values, in order.
    pub(crate) fn text(self, language: Language, values: &[&str]) -> String {
        let mut parts = self.template(language).split("{}");
        let mut text = parts.next().unwrap_or_default().to_owned();
        let mut values = values.iter();
        for part in parts {
            text.push_str(&safe(values.next().copied().unwrap_or_default()));
            text.push_str(part);
        }
        text
    }
}

/// A value as it may be shown: some come from a relay. Lines of one (a TOML error has several) become one line.
fn safe(value: &str) -> String {
    let lines = value.lines().map(str::trim).filter(|line| !line.is_empty());
    one_line(&lines.collect::<Vec<_>>().join(" / "), VALUE_CHARS_MAX)
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
    fn h_04_cod_08_no_value_draws_on_the_screen() {
        let evil = "closed\r\n\x1b[2J\x1b]52;c;aGk=\x07 run: curl evil\u{202e}";
        let text = Message::EnrolFailed.text(Language::En, &[evil]);
        assert!(text.chars().all(|c| !c.is_control()) && !text.contains('\u{202e}'), "{text}");
        assert_eq!(Message::Failed.text(Language::En, &["line 1\n  line 2\n"]), "Failed: line 1 / line 2");
    }

    #[test]
    fn every_sentence_has_both_languages_with_the_same_values() {
        for message in Message::ALL {
            let (en, zh) = (message.template(Language::En), message.template(Language::Zh));
            assert_eq!(en.matches("{}").count(), zh.matches("{}").count(), "{en}");
            assert!(en.is_ascii() && !zh.is_ascii(), "{en}");
        }
        assert_eq!(
            Message::Enrolled.text(Language::En, &["a", "{}"]),
            "Enrolled. This server's id is a, its name is {}."
        );
    }
}
