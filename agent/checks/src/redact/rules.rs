//! What a secret looks like. One row for each kind; `s` names the part that is taken.
//!
//! Sources: gitleaks `config/gitleaks.toml` for the shapes of vendors' keys; the systems' manuals for their settings.

/// One kind of secret.
#[derive(Debug)]
pub(super) struct Rule {
    /// As it stands in the token.
    pub(super) kind: &'static str,
    /// Lower-case words of which one stands in every line that the pattern can match.
    pub(super) words: &'static [&'static str],
    /// Linear time, and no look-around.
    pub(super) pattern: &'static str,
}

const fn rule(kind: &'static str, words: &'static [&'static str], pattern: &'static str) -> Rule {
    Rule { kind, words, pattern }
}

/// In the order in which they are tried: what is sure of its place first.
pub(super) const RULES: &[Rule] = &[
    rule("url-password", &["://"], r"(?i)[a-z][a-z0-9+.-]*://[^\s/:@\x22'?#]*:(?P<s>[^\s/\x22']+)@"),
    rule(
        "header",
        &["authorization", "cookie", "x-api-key"],
        r"(?i)\b(?:(?:proxy-)?authorization|(?:set-)?cookie|x-api-key)\b[\x22']?\s*[:=, ]\s*[\x22']?(?P<s>[^\x22'\r\n]{4,})",
    ),
    rule("bearer", &["bearer", "basic "], r"(?i)\b(?:bearer|basic)\s+(?P<s>[a-z0-9+/=._~-]{8,})"),
    // Robots' addresses are credentials: whoever has one can post.
    rule("webhook", &["hooks.slack.com"], r"hooks\.slack\.com/(?:services|workflows)/(?P<s>[A-Za-z0-9/_-]+)"),
    rule("webhook", &["access_token="], r"access_token=(?P<s>[A-Za-z0-9._-]{8,})"),
    rule("webhook", &["qyapi.weixin"], r"qyapi\.weixin\.qq\.com/cgi-bin/webhook/send\?key=(?P<s>[A-Za-z0-9-]{8,})"),
    rule("webhook", &["/hook/"], r"/hook/(?P<s>[0-9a-fA-F-]{20,})"),
    rule("webhook", &["discord"], r"discord(?:app)?\.com/api/webhooks/(?P<s>[0-9]+/[A-Za-z0-9_-]+)"),
    rule("aliyun-key", &["ltai"], r"\bLTAI[A-Za-z0-9]{12,26}\b"),
    rule("aws-key", &["akia", "asia", "abia", "acca"], r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b"),
    rule("google-key", &["aiza"], r"\bAIza[0-9A-Za-z_-]{35}"),
    rule("azure-secret", &["q~"], r"[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}"),
    rule(
        "azure-key",
        &["accountkey=", "sharedaccesskey=", "sig="],
        r"(?i)(?:AccountKey|SharedAccessKey|[?&;]sig)=(?P<s>[A-Za-z0-9+/=%]{16,})",
    ),
    rule("digitalocean-token", &["dop_v1_", "doo_v1_", "dor_v1_"], r"\bdo[opr]_v1_[a-f0-9]{64}"),
    rule("tencent-key", &["akid"], r"\bAKID[A-Za-z0-9]{13,40}\b"),
    rule("jwt", &["eyj"], r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}\.?[A-Za-z0-9_-]*"),
    rule(
        "github-token",
        &["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"],
        r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{22,})",
    ),
    rule("gitlab-token", &["glpat-", "gldt-", "glrt-", "glcbt-"], r"\bgl(?:pat|dt|rt|cbt)-[A-Za-z0-9_-]{16,}"),
    rule("npm-token", &["npm_"], r"\bnpm_[A-Za-z0-9]{36}"),
    rule("pypi-token", &["pypi-"], r"\bpypi-AgEI[A-Za-z0-9_-]{16,}"),
    rule("slack-token", &["xox", "xapp-"], r"\b(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,}"),
    rule("stripe-key", &["k_live_", "k_test_", "whsec_"], r"\b(?:[sr]k_(?:live|test)_|whsec_)[A-Za-z0-9]{10,}"),
    rule("vault-token", &["hvs.", "hvb.", "s."], r"\b(?:hv[sb]\.[A-Za-z0-9_-]{20,}|s\.[A-Za-z0-9]{24}\b)"),
    rule("grafana-token", &["glsa_", "glc_"], r"\bgl(?:sa|c)_[A-Za-z0-9+/=_]{20,}"),
    rule("age-key", &["age-secret-key-"], r"(?i)\bAGE-SECRET-KEY-1[0-9A-Z]{20,}"),
    rule("openai-key", &["sk-"], r"\bsk-[A-Za-z0-9_-]{20,}"),
    rule("sendgrid-key", &["sg."], r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    rule("telegram-token", &[":aa"], r"\b[0-9]{8,10}:AA[A-Za-z0-9_-]{30,}"),
    rule("docker-token", &["dckr_pat_"], r"\bdckr_pat_[A-Za-z0-9_-]{20,}"),
    rule(
        "password-hash",
        &["$"],
        r"\$(?:1|2[abxy]?|5|6|7|y|gy|apr1|argon2id?|argon2i|scrypt|pbkdf2[a-z0-9-]*)\$[A-Za-z0-9./$,=+_-]{8,}",
    ),
    rule(
        "password-hash",
        &["{ssha", "{sha}", "{smd5}", "scram-sha-256"],
        r"(?i)(?:\{S?SHA(?:256|512)?\}|\{SMD5\}|SCRAM-SHA-256\$)(?P<s>[A-Za-z0-9+/=:$]{8,})",
    ),
    // `host:port:database:user:password`, as in .pgpass.
    rule("pgpass", &[":5432:", ":*:"], r"(?:^|\s)[^:\s#]+:(?:[0-9]{2,5}|\*):[^:\s]+:[^:\s]+:(?P<s>[^\s]+)"),
    rule("stats-auth", &["stats auth"], r"\bstats\s+auth\s+[^:\s]+:(?P<s>\S+)"),
    rule("redis-acl", &["user "], r"\buser\s+\S+\s+(?:\S+\s+)*?[>#](?P<s>\S+)"),
    // Settings whose value stands behind white space.
    rule(
        "setting",
        &["pass", "auth", "secret", "community", "bindpw", "password", "com2sec", "key"],
        r"(?i)(?:^|[\s;{(])[\x22']?(?:auth_pass|requirepass|masterauth|password|passwd|passphrase|insecure-password|bindpw|rootpw|olcRootPW|rocommunity6?|rwcommunity6?|community|com2sec6?\s+\S+\s+\S+|authpassphrase|privpassphrase|primary_password|secret|shared-secret|auth_key|wpa-psk)[\x22']?[ \t]+[\x22']?(?P<s>[^\s\x22';]{3,})",
    ),
    // Anything that is named like a secret and set with a sign.
    rule(
        "setting",
        &["pass", "pwd", "secret", "token", "key", "credential", "auth", "passphrase", "psk", "sign"],
        r"(?i)[\x22']?[a-z0-9_.$-]*(?:pass(?:wd|word|phrase|code)?|pwd|secret(?:_?key)?|token|api[_-]?key|access[_-]?key(?:[_-]?id)?|private[_-]?key|client[_-]?key(?:-data)?|encryption[_-]?key|signing[_-]?key|account[_-]?key|credentials?|auth[_-]?(?:key|token)|psk|signature|_auth|_password|auth)[a-z0-9_-]{0,12}[\x22']?\s*(?:=>|:=|=|:)\s*\|?[\x22']?(?P<s>[^\s\x22',;&})\]]{3,}(?: [^\s\x22',;&})\]=:]{3,}[\x22'])?)",
    ),
    // Arguments of programs.
    rule(
        "argument",
        &["--pass", "--token", "--secret", "--api-key", "--auth", "--key="],
        r"(?i)--(?:[a-z-]*pass(?:word|phrase|wd)?|[a-z-]*token|[a-z-]*secret|api-key|[a-z-]*auth|access-key)(?:=|\s+)[\x22']?(?P<s>[^\s\x22']{3,})",
    ),
    rule("argument", &["mysql", "mariadb"], r"\b(?:mysql|mariadb)[a-z-]*\b[^|;]*?\s-p(?P<s>[^\s-][^\s]*)"),
    rule("argument", &["sshpass"], r"\bsshpass\s+-p\s*[\x22']?(?P<s>[^\s\x22']+)"),
    rule(
        "argument",
        &["curl", "wget", "http"],
        r"\bcurl\b[^|;]*?\s(?:-u|--user|-U|--proxy-user)\s*[\x22']?[^\s:\x22']+:(?P<s>[^\s\x22']+)",
    ),
    rule("argument", &["redis-cli"], r"\bredis-cli\b[^|;]*?\s-a\s*[\x22']?(?P<s>[^\s\x22']+)"),
    rule("argument", &["ldapsearch", "ldapmodify"], r"\bldap[a-z]+\b[^|;]*?\s-w\s*[\x22']?(?P<s>[^\s\x22']+)"),
];

/// A value that is no secret, though it stands where one could: a switch, a small number, a variable, a path, a token of
/// ours.
pub(super) fn is_harmless(value: &str) -> bool {
    const SWITCHES: [&str; 30] = [
        "yes",
        "no",
        "on",
        "off",
        "true",
        "false",
        "none",
        "null",
        "required",
        "optional",
        "sufficient",
        "requisite",
        "default",
        "enabled",
        "disabled",
        "md5",
        "scram-sha-256",
        "trust",
        "peer",
        "ident",
        "cert",
        "reject",
        "basic",
        "set",
        // Words of log lines.
        "for",
        "from",
        "is",
        "was",
        "not",
        "has",
    ];
    let value = value.trim();
    SWITCHES.contains(&value.to_ascii_lowercase().as_str())
        || (value.len() <= 4 && value.bytes().all(|byte| byte.is_ascii_digit()))
        || value.starts_with('\u{2039}')
        || value.starts_with("${")
        || value.starts_with("/etc/")
        || value.starts_with("/run/")
        || value.starts_with("/var/")
        || value.bytes().all(|byte| byte == b'*' || byte == b'x')
}
