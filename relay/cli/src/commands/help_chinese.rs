//! Chinese texts of the command line's help, by the English ones. A test finds what is missing.

/// English, Chinese.
pub(super) const CHINESE: &[(&str, &str)] = &[
    (
        "Opens shells and runs commands on customers' servers, with the customer's consent",
        "经客户同意，在客户的服务器上打开会话、运行命令",
    ),
    (
        "Relay to use, by its name in config.toml; default: the first one signed in to",
        "要使用的中继，以 config.toml 中的名称表示；默认：首个登录的中继",
    ),
    (
        "Key to sign with: a private key file, or a .pub file of a key in the ssh-agent",
        "用于签名的密钥：私钥文件，或 ssh-agent 中密钥的 .pub 文件",
    ),
    ("Make the first account of a new relay, with the code that it shows", "用新中继显示的代码创建首个账号"),
    ("Sign in to a relay", "登录中继"),
    ("Sign out", "退出登录"),
    ("List the customer's servers, and label them", "列出客户的服务器，并为其添加标签"),
    (
        "Only servers with this label; key=value, a word, or a key with any value; may be repeated",
        "仅列出带有此标签的服务器；key=value、一个词，或任意值的键；可重复",
    ),
    ("Put labels on a server, or take them off; a key has one value", "为服务器添加或移除标签；每个键只有一个值"),
    ("Labels to put on: words, or key=value", "要添加的标签：词，或 key=value"),
    ("Label to take off; may be repeated", "要移除的标签；可重复"),
    ("Open a shell on a server", "在服务器上打开会话"),
    ("Run one command on a server", "在服务器上运行一条命令"),
    ("List, attach to and end sessions", "列出、接回和结束会话"),
    (
        "Look what is wrong with a server: the read-only checks that its ceiling allows, and what it signed of them",
        "查看服务器有什么问题：运行其权限上限允许的只读检查，并显示服务器签名的结果",
    ),
    (
        "Checks: ids, like cpu.usage, or groups, like cpu; default: all that the server's ceiling allows",
        "检查项：ID（如 cpu.usage）或组（如 cpu）；默认：服务器权限上限允许的全部",
    ),
    ("Print one line of JSON, as cloud-doctor-agent check does", "打印一行 JSON，格式与 cloud-doctor-agent check 相同"),
    ("Also what is as it should be, and what there is nothing of", "同时显示正常的结果，以及没有对象的检查"),
    ("In English or in Chinese; default: as the locale says", "使用英文或中文；默认：按区域设置"),
    ("Ask nothing: show the newest run that the relay has", "不发起检查：显示中继上最新的一次结果"),
    (
        super::help::CHECK,
        "\
无需签名：由服务器的权限上限决定可运行哪些检查，其 Agent 每 20 秒最多运行一次。报告由服务器签名；
未能通过您本机信任日志副本验证的报告不予显示。中继上的豁免不会隐藏任何结果：由谁对哪项结果负责，会作为
中继的说法列在报告下方。

退出状态与监控插件一致：0 正常，1 警告，2 严重，3 未知（无法显示报告的所有情况，包括参数错误）。

示例：cloud-doctor check web-1 cpu disk.space",
    ),
    ("Look what is wrong with many servers at once, now or by the clock", "同时检查多台服务器有什么问题，立即或定时"),
    ("Do not wait for the end: print the scan's id", "不等待结束：打印巡检的编号"),
    (
        "Checks: ids, like cpu.usage, or groups, like cpu; may be repeated; default: all that each server's ceiling allows",
        "检查项：ID（如 cpu.usage）或组（如 cpu）；可重复；默认：各服务器权限上限允许的全部",
    ),
    (
        "Servers asked at once; one that is silent for a second holds up nobody; default: 128",
        "同时请求的服务器数；一秒内未答复的不会拖延其他服务器；默认：128",
    ),
    (
        "Exit with 1 for warnings and 2 for critical findings, or only with 2, or with neither",
        "有警告时退出状态为 1、有严重结果时为 2，或仅为 2，或两者皆不",
    ),
    (
        "Exit with 4 when a server was absent, silent or refused, and nothing worse was found",
        "有服务器未连接、无响应或拒绝，且没有更严重的结果时，退出状态为 4",
    ),
    ("Print JSON; the same as --format json", "打印 JSON；与 --format json 相同"),
    ("How results are written", "结果的格式"),
    ("Write results into this file instead of standard output", "将结果写入此文件，而非标准输出"),
    ("Also what is as it should be", "同时显示正常的结果"),
    ("Show a scan, and wait for its end", "显示一次巡检，并等待其结束"),
    ("List the newest scans", "列出最近的巡检"),
    ("End a scan; servers that have not answered get no result", "结束巡检；尚未答复的服务器不再有结果"),
    ("Scan id, or the beginning of one", "巡检编号，或其开头"),
    ("Scans by the clock", "定时巡检"),
    ("Do not wait for the end: show what there is", "不等待结束：显示已有的结果"),
    ("Plan scans by the clock; replaces a plan of the same name", "制定定时巡检计划；替换同名的计划"),
    ("Name of the plan", "计划的名称"),
    (
        "When, in UTC: minute hour day month weekday, for example \"30 2 * * 1-5\"",
        "时间（UTC）：分 时 日 月 星期，例如 \"30 2 * * 1-5\"",
    ),
    ("List plans", "列出计划"),
    ("Have a plan wait: no scan begins until it is resumed", "暂停计划：恢复之前不开始巡检"),
    ("Let a plan go on", "恢复计划"),
    ("Take a plan away; its scans stay", "移除计划；其巡检结果保留"),
    (
        super::help::SCAN,
        "\
中继分批请求服务器；未连接也是一种结果，无响应的服务器不会拖延其他服务器。每份报告都用您本机的信任日志
副本验证：未通过验证的会如实显示，绝不算作正常。按 Ctrl-C 离开后巡检继续进行。豁免只是中继的说法：
被豁免的结果仍予显示，但不计入结论。

退出状态：0 没有需要报错的结果，1 警告，2 严重，3 有报告未通过验证、中继遗漏了服务器或无法得知结果，
4 使用 --fail-on-absent 时有服务器没有报告。

示例：
  cloud-doctor scan --label env=prod --check disk,memory --fail-on critical
  cloud-doctor scan --format junit --output scan.xml
  cloud-doctor scan plan add nightly \"30 2 * * *\"",
    ),
    (
        "Show or set how often the relay asks a server for its checks by itself; setting takes an admin",
        "查看或设置中继自动检查服务器的间隔；设置须由管理员进行",
    ),
    ("How often from now on, 5m to 7d, for example 6h; or off", "今后的间隔，5m 至 7d，例如 6h；或 off 表示关闭"),
    (
        "Answer for findings of a server for some time; its reports go on showing them",
        "在一段时间内对服务器的诊断结果负责（豁免）；其报告仍会显示这些结果",
    ),
    (
        "Answer for a finding of the server's newest report, in place of an earlier waiver of it; takes an admin",
        "豁免服务器最新报告中的一项结果，并取代对它的先前豁免；须由管理员进行",
    ),
    ("List who answers for which finding, also what counts no more", "列出谁对哪项结果负责，包括已失效的豁免"),
    ("Take a waiver back; takes an admin", "撤销豁免；须由管理员进行"),
    ("Waiver: the beginning of its id", "豁免：其 ID 的开头"),
    ("Id of the check, like disk.space", "检查项的 ID，例如 disk.space"),
    (
        "What the finding is about, as `check` shows it; not needed where only one finding of the check is bad",
        "结果所涉对象，写法与 `check` 所显示的一致；该检查项只有一项异常结果时可省略",
    ),
    ("Why it may stay as it is, for those who read the list", "可以保持现状的原因，供查看列表的人阅读"),
    (
        "Last moment, at most 366 days from now: +30d, 22:00 or 2026-11-25T22:00Z",
        "结束时间，最多为现在起 366 天：+30d、22:00 或 2026-11-25T22:00Z",
    ),
    (
        super::help::WAIVER,
        "\
该结果仍保留在每份报告中，状态和依据不变。`check` 的报告下方会说明由谁负责、原因以及截止时间；
控制台将其单独列出，不计入总数。结果取自服务器签名的最新报告。

示例：cloud-doctor waiver add web-1 disk.space /var --reason \"缓存，工单 4711\" --until +14d",
    ),
    (
        "Look how a server is right now: what is wrong first, then its processes; no signature is needed",
        "查看服务器当前状态：先列出问题，再列出进程；无需签名",
    ),
    ("Print one screen as plain lines, as when the output is no terminal", "以纯文本打印一屏，与输出不是终端时相同"),
    ("Print one sample of all values as JSON", "以 JSON 打印所有指标的一次采样"),
    ("Print a part of the server's history as CSV", "以 CSV 打印服务器的一段历史"),
    ("How far back the CSV goes, for example 15m, 1h or 2d", "CSV 回溯多久，例如 15m、1h 或 2d"),
    (
        super::help::TOP,
        "\
标记：!! 严重，! 需留意，? 未知。按 q 退出。输出不是终端时，以文本打印一屏。
未连接的服务器显示其最后几分钟的状态，退出状态为 4。服务器显示哪些内容由其权限上限决定。

示例：cloud-doctor top web-1 --csv --since 6h > web-1.csv",
    ),
    (
        "Help somebody who has no account: prints a code for their server, and opens a shell when they say yes",
        "协助没有账号的人：打印一个供其服务器使用的代码，对方同意后打开会话",
    ),
    (
        "Watch a living shell on a server: look, type nothing; takes an engineer's or an approver's signature",
        "旁观服务器上正在运行的会话：只看，不输入；需要工程师或审批人签名",
    ),
    (
        "Read a server's own audit log from afar and verify it; takes an engineer's or an approver's signature",
        "远程读取并校验服务器自身的审计日志；需要工程师或审批人签名",
    ),
    (
        "Shell to watch, by the beginning of its id; not needed when only one lives",
        "要旁观的会话，以 ID 的开头表示；只有一个时可省略",
    ),
    (
        "Users whose shells to watch; may be repeated; default: root, and the user that `shell` would ask for",
        "旁观哪些用户的会话；可重复；默认：root，以及 `shell` 会请求的用户",
    ),
    (
        "End the shell instead of watching it; for an approver this ends the engineer's whole visit",
        "结束会话而不旁观；由审批人执行时结束该工程师的整个远程协助",
    ),
    ("Only list the living shells, as JSON", "仅以 JSON 列出正在运行的会话"),
    (
        "Write the signed lines into this file too, for `verify-audit`; must not exist yet",
        "同时将签名的各行写入此文件，供 `verify-audit` 使用；文件不得已存在",
    ),
    (
        super::help::WATCH,
        "\
您看到工程师所看到的内容，尺寸与其终端一致。您的输入不会到达该会话，工程师会得知您在旁观。

按键：
  Ctrl-C，或换行后 ~.   离开
  换行后 ~x             结束会话（如果允许）
  换行后 ~?             显示这些按键",
    ),
    (
        super::help::AHEAD,
        "\
由审批人或根密钥签署，签署者须与该工程师不是同一人。仅在服务器权限上限写明 `ahead = true` 时有效。
超出其时间的远程协助照常需要第二签名。

示例：cloud-doctor approve ahead web-1 --for erin --user root --from 22:00 --until +4h",
    ),
    (
        "Sign ahead: for some hours, one engineer's key needs no second signature on one server",
        "预先签署：在若干小时内，一位工程师的密钥在一台服务器上无需第二签名",
    ),
    ("End what was signed ahead; what it opened ends within seconds", "结束预先签署；由其打开的内容将在数秒内结束"),
    ("Number of its entry in the trust log", "其在信任日志中的条目编号"),
    ("List what is signed ahead", "列出预先签署"),
    ("The engineer: name, key id or fingerprint", "工程师：名称、密钥编号或指纹"),
    ("User whose shells may be opened; may be repeated", "可打开其会话的用户；可重复"),
    ("Commands too, not only shells", "除会话外也包括命令"),
    (
        "First moment, within seven days: now, 22:00, +2h or 2026-11-25T22:00Z",
        "开始时间，七天之内：now、22:00、+2h 或 2026-11-25T22:00Z",
    ),
    (
        "Last moment, at most a day after the first; +2h counts from the first",
        "结束时间，最多为开始后一天；+2h 自开始时间起算",
    ),
    ("Why, for the customer's trust log", "原因，记入客户的信任日志"),
    (
        "File with the six digits or a recovery code, for an account with a second step; default: asks",
        "存放六位数字或恢复代码的文件，用于启用了第二步验证的账号；默认：询问",
    ),
    ("User on their server", "对方服务器上的用户"),
    ("Why: the customer reads it before saying yes", "原因：客户在同意之前会看到"),
    (
        super::help::INVITE,
        "\
您与客户正在通话。客户只需在服务器上有 Agent 程序：无需账号、安装或开放端口。
双方核对六个单词之前，不会启动任何内容。协助结束后，对方服务器上只保留其记录。

退出状态为最后一个会话的状态；没有会话时为 255。",
    ),
    (
        "Let a new person in by a link: no key file to send, no fingerprint to compare",
        "通过链接邀请新人：无需发送密钥文件，无需核对指纹",
    ),
    ("List links for new people, or take one back", "列出给新人的链接，或收回其中之一"),
    ("Sign in the keys of people who used a link that was made on this computer", "签署使用了本机所创建链接的人的密钥"),
    ("Name or id of the link; default: all of them", "链接的姓名或编号；默认：全部"),
    ("Also a key that lives in a browser and signs without a touch", "也接受保存在浏览器中、签名无需触摸的密钥"),
    ("Days that the key will count, at most 90", "密钥的有效天数，最多 90"),
    ("Hours that the link counts, at most 168", "链接的有效小时数，最多 168"),
    ("To give second signatures, not to open visits", "用于第二签名，而非发起远程协助"),
    ("Where the console is, when it is not at the relay", "控制台的地址（不在中继上时）"),
    ("Wait until the person's key is here, and sign it in", "等待对方的密钥到达并签署"),
    ("Link to take back: the person's name, or the beginning of its id", "要收回的链接：姓名，或编号的开头"),
    ("An ecdsa-sha2-nistp256 key that is no browser's", "非浏览器的 ecdsa-sha2-nistp256 密钥"),
    ("Show and change who a customer trusts", "查看和更改客户信任谁"),
    ("Show and change who may sign in at the relay", "查看和更改谁可以登录中继"),
    ("List accounts", "列出账号"),
    ("Add an account; it opens no server by itself", "添加账号；账号本身不能打开任何服务器"),
    ("Name of the account", "账号名"),
    ("May manage accounts, tokens and servers at the relay", "可管理中继上的账号、令牌和服务器"),
    ("Remove an account and end its sign-ins", "删除账号并结束其登录"),
    ("Change your own password", "更改自己的密码"),
    ("Give the second signature under somebody else's request, or say no", "为他人的请求作第二签名，或拒绝"),
    ("Say no: whoever waits for it is told at once", "拒绝：等待者会立即得知"),
    ("Why not, in a sentence that whoever waits will read", "拒绝的原因，等待者会看到"),
    ("Check a server's audit log offline", "离线校验服务器的审计日志"),
    ("Print completions for a shell", "输出 shell 补全脚本"),
    ("Write the man pages into a folder", "将手册页写入目录"),
    ("bash, zsh, fish, elvish or powershell", "bash、zsh、fish、elvish 或 powershell"),
    ("The folder", "目录"),
    ("The relay, for example https://relay.example:8443", "中继地址，例如 https://relay.example:8443"),
    ("Pin of a self-signed relay, as it prints it when it starts", "自签名中继的指纹，即其启动时打印的内容"),
    ("Name of the first account", "首个账号的名称"),
    ("Name of the first customer", "首个客户的名称"),
    (
        "File with the one-time code; - reads it from standard input; default: asks",
        "存放一次性代码的文件；- 表示标准输入；默认：询问",
    ),
    (
        "File with the password; - reads it from standard input; default: asks",
        "存放密码的文件；- 表示标准输入；默认：询问",
    ),
    (
        "Account name; default: the last one used here, else your user name",
        "账号名；默认：上次使用的账号，否则为您的用户名",
    ),
    (
        "The customer's six words or hash, compared with its owner; trusts this customer from now on",
        "与客户所有者核对过的六个单词或哈希；此后信任该客户",
    ),
    ("Print JSON", "输出 JSON"),
    ("Print JSON (lists only)", "输出 JSON（仅列表）"),
    ("Server: its name, or the beginning of its id", "服务器：名称，或 ID 的开头"),
    (
        "User on the server; default: `user` in config.toml, else your own user name",
        "服务器上的用户；默认：config.toml 中的 `user`，否则为您的用户名",
    ),
    ("Longest time of the visit, for example 30m or 2h", "远程协助的最长时间，例如 30m 或 2h"),
    ("Why, for the customer's audit", "原因，记入客户的审计日志"),
    ("Number of the ticket", "工单号"),
    ("Forward standard input; without it the command reads an empty one", "转发标准输入；不加此项时命令读到空输入"),
    ("The command and its arguments, exactly; no shell reads them", "命令及其参数，原样传递，不经 shell 解释"),
    ("Closed ones too", "包括已关闭的"),
    ("Attach to a session that lives on without a view; takes a signature", "接回仍在运行的会话；需要签名"),
    ("End a session; takes a signature", "结束会话；需要签名"),
    (
        "The server that it is on; needed for sessions that were opened on another computer",
        "会话所在的服务器；在其他电脑上打开的会话必须给出",
    ),
    ("Session id, or the beginning of one", "会话编号，或其开头"),
    (
        "Begin a customer's trust log: its first root key, and a recovery key to be kept offline",
        "创建客户的信任日志：首个根密钥，以及离线保存的恢复密钥",
    ),
    ("Show who is trusted, in plain words", "用通俗文字显示信任谁"),
    (
        "Trust the relay's customer on this computer, after comparing six words with its owner",
        "与所有者核对六个单词后，在本机信任中继上的客户",
    ),
    ("The six words, or the hash in hex", "六个单词，或十六进制哈希"),
    ("People who may open visits", "可发起远程协助的人员"),
    ("People who may give second signatures", "可作第二签名的人员"),
    (
        "The key lives in a browser, which signs without a touch: it counts only where a server's ceiling names \"device\"",
        "该密钥位于浏览器中，签名时无需触碰：仅在服务器权限上限写明 \"device\" 时有效",
    ),
    (
        "Rules for all servers; the stricter of these and a server's ceiling wins",
        "适用于所有服务器的规则；与服务器权限上限相比，以更严格者为准",
    ),
    (
        "Keys that may change who is trusted; with --key they sign, also the recovery key",
        "可更改信任对象的根密钥；可用 --key 指定签名密钥，也可以是恢复密钥",
    ),
    ("Add a root key", "添加根密钥"),
    (
        "Remove a root key; what else it could sign ends with it, also its install tokens",
        "移除根密钥；其其他签名权限及所建的安装令牌一并失效",
    ),
    (
        "Replace all root keys by a new one, with the recovery key that `tenant init` wrote",
        "用 `tenant init` 写出的恢复密钥，以一把新的根密钥替换所有根密钥",
    ),
    ("The recovery key's file, encrypted by a passphrase or not", "恢复密钥文件，可用口令加密，也可不加密"),
    ("Public key file of the new root", "新根密钥的公钥文件"),
    ("Name of the new root's owner", "新根密钥持有人的名称"),
    ("Make an install token for new servers, or take one back", "为新服务器创建安装令牌，或将其撤销"),
    ("List install tokens at the relay", "列出中继上的安装令牌"),
    (
        "Take an install token back: it installs no further server; those that it installed stay",
        "撤销安装令牌：不能再安装新服务器；已安装的服务器不受影响",
    ),
    ("The token's id, or the beginning of one", "令牌编号，或其开头"),
    ("Servers in the trust log", "信任日志中的服务器"),
    ("Call a server something else in the trust log", "在信任日志中更改服务器名称"),
    ("Its new name", "新名称"),
    ("The customer's name", "客户名称"),
    (
        "Root key: a private key file, or a .pub file of a key in the ssh-agent; default: the agent's first key",
        "根密钥：私钥文件，或 ssh-agent 中密钥的 .pub 文件；默认：ssh-agent 中的第一把密钥",
    ),
    ("Where to write the recovery key; must not exist yet", "恢复密钥的写入位置；文件不得已存在"),
    ("Your name in the log; default: your account's name", "您在日志中的名称；默认：账号名"),
    ("Add a person's key", "添加人员的密钥"),
    ("Remove a person's key; running visits end within seconds", "吊销人员的密钥；进行中的远程协助将在数秒内结束"),
    ("List them", "列出"),
    ("Renew a key that is in the log", "为日志中的密钥续期"),
    ("Name, key id or fingerprint", "名称、密钥编号或指纹"),
    ("Days from now on, at most 90", "自现在起的天数，最多 90"),
    ("The public key file", "公钥文件"),
    ("The person's name; two keys of one person have the same name", "人员名称；同一人的两把密钥使用相同名称"),
    ("Days that it counts, at most 90", "有效天数，最多 90"),
    ("Show the rules", "显示规则"),
    ("Replace the rules: what is not given is not limited", "替换规则：未给出的即不限制"),
    ("Longest visit, for example 2h", "最长远程协助时间，例如 2h"),
    (
        "User whose shells and commands need a second signature everywhere; may be repeated",
        "该用户的会话和命令处处需要第二签名；可重复",
    ),
    ("User that nobody becomes anywhere; may be repeated", "任何人都不得以该用户身份运行；可重复"),
    ("Servers that it may install", "可安装的服务器数量"),
    ("Hours that it counts, at most 168", "有效小时数，最多 168"),
    ("For people", "备注"),
    ("Where to write the token; must not exist yet", "令牌的写入位置；文件不得已存在"),
    (
        "Where servers reach the relay, when it does not say so itself: quic://host:port",
        "服务器连接中继的地址（中继未自行说明时）：quic://host:port",
    ),
    (
        "The relay's pin for servers, when it does not say so itself; twice when it has a second one in reserve",
        "供服务器使用的中继指纹（中继未自行说明时）；有备用密钥时给出两次",
    ),
    (
        "Remove a server from the trust log: nobody opens anything there any more",
        "从信任日志中移除服务器：此后无人能在其上打开任何内容",
    ),
    ("Do not ask", "不询问"),
    ("Request to look at; default: lists those that wait", "要查看的请求；默认：列出等待中的请求"),
    ("The log's files, oldest first", "日志文件，从最旧的开始"),
    (
        "Server whose log it is: name or beginning of its id, as in your trust log",
        "日志所属的服务器：信任日志中的名称或 ID 开头",
    ),
    ("The server's identity key in hex, without any trust log", "服务器身份公钥（十六进制），无需信任日志"),
    ("Print every event", "输出每个事件"),
    (
        super::help::AFTER,
        "\
文件：$CLOUD_DOCTOR_HOME，否则 $XDG_CONFIG_HOME/cloud-doctor，否则 ~/.config/cloud-doctor。
设置 NO_COLOR 可关闭颜色。语言取自 LC_ALL、LC_MESSAGES、LANG（英文、中文）。

退出状态：
  0    成功
  1    失败；原因见标准错误
  2    参数错误
  3    未登录中继
  4    无法连接中继或服务器
  5    服务器、客户或中继拒绝
  6    验证失败：服务器、密钥或历史不符
  255  shell、exec、sessions attach：通路故障，而非程序本身",
    ),
    (
        super::help::SHELL,
        "\
按键（在换行之后）：
  ~.   离开；会话会保留一段时间：cloud-doctor sessions attach ID
  ~x   结束会话
  ~~   输入一个波浪号
  ~?   显示这些按键

退出状态为远端 shell 的状态；被信号 N 终止时为 128+N；通路故障时为 255。",
    ),
    (
        super::help::EXEC,
        "\
退出状态为命令的状态；被信号 N 终止时为 128+N；命令不存在时为 127，不可执行时为 126；
通路故障时为 255。
Ctrl-C 等信号会转发给命令。

示例：cloud-doctor exec web-1 --user deploy -- systemctl status nginx",
    ),
];
