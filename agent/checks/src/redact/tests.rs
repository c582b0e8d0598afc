//! Planted secrets, none of which may come out; and what is no secret, which must.
#![allow(clippy::unwrap_used)]
use super::*;

/// A line with a planted secret, and the secret. Made up, in the shapes that are documented.
pub(crate) const PLANTED: &[(&str, &str)] = &[
    ("password = hunter2secret", "hunter2secret"),
    ("db.password: 'tr0ub4dor'", "tr0ub4dor"),
    ("\"passwd\": \"correcthorse\"", "correcthorse"),
    ("PASSPHRASE=\"open sesame\"", "open sesame"),
    ("pwd=Sup3rS3cret;", "Sup3rS3cret"),
    ("client_secret => s3cr3tvalue99", "s3cr3tvalue99"),
    ("export API_TOKEN=abcdef0123456789", "abcdef0123456789"),
    ("api-key: 0123456789abcdef", "0123456789abcdef"),
    ("secret_key_base: 9f8e7d6c5b4a", "9f8e7d6c5b4a"),
    ("credentials=bWFnaWM6d29yZHM", "bWFnaWM6d29yZHM"),
    ("postgres://app:p4ssw0rd@db.internal:5432/shop", "p4ssw0rd"),
    ("amqp://guest:gu3st!@10.0.0.5/", "gu3st!"),
    ("redis://:onlypass@10.0.0.9:6379/0", "onlypass"),
    ("https://user:pa%40ss@example.com/x", "pa%40ss"),
    ("Authorization: Bearer abc.def-ghi_jkl", "abc.def-ghi_jkl"),
    ("authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    ("Proxy-Authorization: Basic cHJveHk6cHc=", "cHJveHk6cHc="),
    ("Cookie: session=8a7b6c5d4e; theme=dark", "8a7b6c5d4e"),
    ("Set-Cookie: sid=1a2b3c4d5e6f; HttpOnly", "1a2b3c4d5e6f"),
    ("X-Api-Key: 55aa55aa55aa", "55aa55aa55aa"),
    ("http-request set-header Authorization \"Basic YWRtaW46c2VjcmV0\"", "YWRtaW46c2VjcmV0"),
    ("accessKeyId LTAI5tAbCdEfGhIjKlMnOpQr", "LTAI5tAbCdEfGhIjKlMnOpQr"),
    ("aws AKIAIOSFODNN7EXAMPLE in use", "AKIAIOSFODNN7EXAMPLE"),
    ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("maps AIzaSyA1234567890abcdefghijklmnopqrstuv", "AIzaSyA1234567890abcdefghijklmnopqrstuv"),
    (
        "DefaultEndpointsProtocol=https;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6==",
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6",
    ),
    ("app abc8Q~abcdefghijklmnopqrstuvwxyz0123456 azure", "abc8Q~abcdefghijklmnopqrstuvwxyz0123456"),
    ("dop_v1_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef"),
    ("SecretId AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE", "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE"),
    ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "eyJzdWIiOiIxIn0"),
    ("ghp_0123456789abcdefghijABCDEFGHIJ0123456", "0123456789abcdefghij"),
    ("github_pat_11AAAAAAA0abcdefghijklmnop_xyz", "11AAAAAAA0abcdefghijklmnop"),
    ("glpat-AbCdEfGhIjKlMnOpQrSt", "AbCdEfGhIjKlMnOpQrSt"),
    ("//registry.npmjs.org/:_authToken=npm_0123456789abcdefghijABCDEFGHIJ012345", "0123456789abcdefghij"),
    ("pypi-AgEIcHlwaS5vcmcCJDAwMDAwMDAw", "cHlwaS5vcmcCJDAwMDAwMDAw"),
    ("xoxb-123456789012-abcdefABCDEF", "123456789012-abcdefABCDEF"),
    ("sk_live_4eC39HqLyjWDarjtT1zdp7dc", "4eC39HqLyjWDarjtT1zdp7dc"),
    ("hvs.CAESIJ0123456789abcdefghij", "CAESIJ0123456789abcdefghij"),
    ("glsa_abcdefghijABCDEFGHIJ0123456789_ab12cd34", "abcdefghijABCDEFGHIJ0123456789"),
    ("AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQ", "QQQQQQQQQQQQQQQQQQQQ"),
    ("sk-proj-abcT3BlbkFJabcdefghij0123", "abcT3BlbkFJabcdefghij0123"),
    ("https://hooks.slack.com/services/T000/B000/XXXXYYYYZZZZ", "T000/B000/XXXXYYYYZZZZ"),
    ("https://oapi.dingtalk.com/robot/send?access_token=0f1e2d3c4b5a69788796a5b4", "0f1e2d3c4b5a69788796a5b4"),
    ("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693axxx6-7aoc-4bc4-97a0-0ec2sifa5aaa", "693axxx6-7aoc-4bc4"),
    ("https://open.feishu.cn/open-apis/bot/v2/hook/8a3b1c2d-1111-2222-3333-444455556666", "8a3b1c2d-1111"),
    ("stats auth admin:Hapr0xyPw", "Hapr0xyPw"),
    ("user ops insecure-password plainpw1", "plainpw1"),
    ("user ops password $6$k6y3o.eP$JlKBx9za9667qe4", "JlKBx9za9667qe4"),
    ("admin:$apr1$dHHKL9qu$Ilj1zJlyIGKtwCbLsIHVZ1", "Ilj1zJlyIGKtwCbLsIHVZ1"),
    ("auth_pass k33palived", "k33palived"),
    ("requirepass foobaredpw", "foobaredpw"),
    ("masterauth \"replicapw\"", "replicapw"),
    ("user alice on >alicepw ~* +@all", "alicepw"),
    ("db.example:5432:shop:app:pgpassword1", "pgpassword1"),
    ("primary_conninfo = 'host=10.0.0.1 user=rep password=replpw9 port=5432'", "replpw9"),
    ("action(type=\"ommysql\" db=\"syslog\" uid=\"r\" pwd=\"rsyslogpw\")", "rsyslogpw"),
    ("bindpw ldapbindpw", "ldapbindpw"),
    ("rocommunity pub1icstring 10.0.0.0/8", "pub1icstring"),
    ("\"auth\": \"dXNlcjpkb2NrZXJwdw==\"", "dXNlcjpkb2NrZXJwdw"),
    ("    client-key-data: LS0tLS1CRUdJTiBSU0E", "LS0tLS1CRUdJTiBSU0E"),
    ("root:$y$j9T$abcdefgh$0123456789abcdef:19000:0:99999:7:::", "0123456789abcdef"),
    ("/usr/bin/mysqldump -u root -pdumppw99 shop", "dumppw99"),
    ("sshpass -p sshpw77 ssh host", "sshpw77"),
    ("curl -u admin:curlpw55 http://x/", "curlpw55"),
    ("tool --password argpw33 --verbose", "argpw33"),
    ("redis-cli -a redispw22 ping", "redispw22"),
    ("123456789:AAabcdefghijklmnopqrstuvwxyz0123456", "abcdefghijklmnopqrstuvwxyz"),
];

fn redactor() -> Redactor {
    Redactor::new([7; 32])
}

#[test]
fn chk_07_none_of_the_planted_secrets_leaves() {
    assert!(PLANTED.len() >= 60, "{}", PLANTED.len());
    let left: Vec<_> = PLANTED
        .iter()
        .map(|(line, secret)| (redactor().text(line), line, secret))
        .filter(|(out, _, secret)| out.contains(**secret))
        .collect();
    assert!(left.is_empty(), "{left:#?}");
    // All together, in one text, with what is around them.
    let all: String = PLANTED.iter().map(|(line, _)| format!("Nov 26 00:00:01 web-1 app[1]: {line}\r\n")).collect();
    let out = redactor().text(&all);
    for (line, secret) in PLANTED {
        assert!(!out.contains(secret), "{line}");
    }
}

#[test]
fn chk_07_private_keys_go_with_all_their_lines() {
    let pem = |kind: &str| format!("a\n-----BEGIN {kind}-----\nMIIEvQIBADANBgkq\nq0cAAA==\n-----END {kind}-----\nb\n");
    for kind in ["RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY", "EC PRIVATE KEY", "PGP PRIVATE KEY BLOCK"] {
        let out = redactor().text(&pem(kind));
        assert!(
            !out.contains("MIIE") && !out.contains("q0cAAA") && out.starts_with("a\n") && out.ends_with("b\n"),
            "{out}"
        );
    }
    let cut = redactor().text("x -----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\nrest");
    assert!(cut.starts_with("x ") && !cut.contains("MIIE") && !cut.contains("rest"), "{cut}");
    let certificate = "-----BEGIN CERTIFICATE-----\nMIID\n-----END CERTIFICATE-----\n";
    assert_eq!(redactor().text(certificate), certificate, "certificates are public");
}

#[test]
fn what_is_no_secret_stays() {
    for line in [
        "default-server inter 300s fall 3 rise 2",
        "server web1 10.0.0.1:80 check",
        "PasswordAuthentication yes",
        "PermitRootLogin = no",
        "password_encryption = scram-sha-256",
        "ssl_password_file /etc/nginx/pw",
        "ssl_certificate_key /etc/ssl/private/x.key;",
        "auth required pam_unix.so",
        "cpu  2088937 714200 529502 1793167",
        "max_connections = 100",
        "proxy_next_upstream error timeout http_503;",
        "Nov 26 00:00:01 web-1 sshd[1]: Failed password for root from 10.0.0.9 port 22 ssh2",
        "host all all 0.0.0.0/0 trust",
        "keepalive_timeout 65;",
        "https://example.com/path?x=1",
    ] {
        assert_eq!(redactor().text(line), line);
    }
}

#[test]
fn equal_secrets_stay_equal_and_other_keys_tell_nothing() {
    let mut one = redactor();
    let (first, again, other) =
        (one.text("password=aaaa1111"), one.text("pwd=aaaa1111"), one.text("password=bbbb2222"));
    let token = |text: &str| text.split_once('=').unwrap().1.to_owned();
    assert_eq!(token(&first), token(&again));
    assert_ne!(token(&first), token(&other));
    assert_ne!(Redactor::new([8; 32]).text("password=aaaa1111"), first);
    assert_eq!(one.taken().values().sum::<u64>(), 3);
    assert_eq!(one.text(&first), first, "what was taken once stays as it is");
}

#[test]
fn a_line_without_end_costs_little() {
    let line = format!("password={}", "a".repeat(3 << 20));
    let out = redactor().text(&line);
    assert!(out.len() < 1000, "{}", out.len());
}
