//! What nginx accepts, and what nobody should have to accept.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::host::fixture::Fixture;

const MAIN: &str = "/etc/nginx/nginx.conf";

/// `nginx.conf` of Debian 12, comments shortened.
pub(in crate::lb::nginx) const DEBIAN: &str = "user www-data;
worker_processes auto;
pid /run/nginx.pid;
error_log /var/log/nginx/error.log;
include /etc/nginx/modules-enabled/*.conf;

events {
\tworker_connections 768;
\t# multi_accept on;
}

http {

\t##
\t# Basic Settings
\t##

\tsendfile on;
\ttcp_nopush on;
\ttypes_hash_max_size 2048;
\t# server_tokens off;

\tinclude /etc/nginx/mime.types;
\tdefault_type application/octet-stream;

\tssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3; # Dropping SSLv3, ref: POODLE
\tssl_prefer_server_ciphers on;

\taccess_log /var/log/nginx/access.log;

\tgzip on;

\tinclude /etc/nginx/conf.d/*.conf;
\tinclude /etc/nginx/sites-enabled/*;
}

#mail {
#\tserver {
#\t\tlisten     localhost:110;
#\t}
#}
";

/// The tree in one line, and `!file:line` for each trouble.
fn shown(fixture: &Fixture) -> String {
    let read = read(&fixture.host(), MAIN, "/etc/nginx", "");
    let mut out = String::new();
    show(&read.tree, &mut out);
    for (place, _) in &read.troubles {
        out.push_str(&format!(" !{}", place.source().replace("/etc/nginx/", "")));
    }
    out.trim().to_owned()
}

fn show(tree: &[Directive], out: &mut String) {
    for directive in tree {
        out.push_str(&directive.name);
        for arg in &directive.args {
            out.push_str(&format!(" {arg}"));
        }
        match &directive.block {
            Some(block) => {
                out.push('{');
                show(block, out);
                out.push('}');
            }
            None => out.push(';'),
        }
    }
}

fn main_only(text: &str) -> String {
    shown(&Fixture::image().file(MAIN, text))
}

#[test]
fn lb_14_a_configuration_becomes_a_tree() {
    for (text, expected) in [
        ("", ""),
        ("a;", "a;"),
        ("a b c;d;", "a b c;d;"),
        ("a{}", "a{}"),
        ("a { b { c d; } e; } f;", "a{b{c d;}e;}f;"),
        ("a # x ; {\n b;", "a b;"),
        ("a\n  b\n  c;", "a b c;"),
        ("\u{feff}a;\r\nb;\r\n", "a;b;"),
        ("log_format m '$a \"$b\"' '{\"x\":\"$y\"}';", "log_format m $a \"$b\" {\"x\":\"$y\"};"),
        ("location ~* \\.(gif|png)$ { }", "location ~* \\.(gif|png)${}"),
        ("location ~ \"^/a{2}$\" { x; }", "location ~ ^/a{2}${x;}"),
        ("set $x \"a;b\";", "set $x a;b;"),
        ("proxy_pass http://${backend}_pool/#x;", "proxy_pass http://${backend}_pool/#x;"),
        ("if ($a ~ \"x|y\") { return 403; }", "if ($a ~ x|y ){return 403;}"),
        ("map $a $b { default 0; \"~^/x;\" 1; include none; } c;", "map $a $b{}c;"),
        ("geo { 10.0.0.0/8 1; } c;", "geo{}c;"),
        ("types { text/html html htm; } c;", "types{}c;"),
        ("content_by_lua_block { local t = {} ; if a then b('}') end } c;", "content_by_lua_block{}c;"),
        ("set_by_lua_block $x { return \"{\" } c;", "set_by_lua_block $x{}c;"),
        (
            "location / { access_by_lua_block { -- }\n x() } proxy_pass http://a; }",
            "location /{access_by_lua_block{}proxy_pass http://a;}",
        ),
        ("content_by_lua 'ngx.say(\"}\")';", "content_by_lua ngx.say(\"}\");"),
        // What nginx refuses is told, and what stands before is kept.
        ("a;\nb {\n c;\n", "a;b{c;} !nginx.conf:2"),
        ("a;\nb c", "a; !nginx.conf:2"),
        ("a;\n}\nb;", "a; !nginx.conf:2"),
        ("a;\n;", "a; !nginx.conf:2"),
        ("a;\n\n{ }", "a; !nginx.conf:3"),
        ("a { b }", "a{} !nginx.conf:1"),
        ("a;\nb \"c;\n", "a; !nginx.conf:2"),
        ("a { x_by_lua_block { ( ", "a{} !nginx.conf:1"),
        ("a {\n b \"c\"d;\n e; }", "a{} !nginx.conf:2"),
    ] {
        assert_eq!(main_only(text), expected, "{text}");
    }
}

#[test]
fn lb_14_includes_stand_where_they_are_included() {
    let fixture = Fixture::image()
        .file(MAIN, "include mods/*.conf; http { include conf.d/*.conf; include /etc/nginx/one; z; }")
        .file("/etc/nginx/conf.d/b.conf", "b;")
        .file("/etc/nginx/conf.d/a.conf", "a { a1; }")
        .file("/etc/nginx/conf.d/.hidden.conf", "no;")
        .file("/etc/nginx/conf.d/c.conf.off", "no;")
        .file("/etc/nginx/one", "include two;")
        .file("/etc/nginx/two", "two;");
    assert_eq!(shown(&fixture), "http{a{a1;}b;two;z;}");
    for (text, file, expected) in [
        ("include gone.conf; a;", "", "a; !nginx.conf:1"),
        ("\ninclude x;\na;", "b {\n", "b{}a; !x:1"),
        ("\ninclude x;\na;", "b }\n", "a; !x:1"),
    ] {
        assert_eq!(shown(&Fixture::image().file(MAIN, text).file("/etc/nginx/x", file)), expected);
    }
}

#[test]
fn lb_14_debians_own_configuration_is_read_whole() {
    let fixture = Fixture::image()
        .file(MAIN, DEBIAN)
        .file("/etc/nginx/mime.types", "types {\n  text/html html htm shtml;\n}\n")
        .file("/etc/nginx/sites-enabled/default", "server {\n\tlisten [::]:80 default_server;\n\troot /var/www/html;\n\tlocation / {\n\t\ttry_files $uri $uri/ =404;\n\t}\n}\n");
    let read = read(&fixture.host(), MAIN, "/etc/nginx", "daemon on; master_process on;");
    assert_eq!(read.troubles, Vec::new());
    let http = read.tree.iter().find(|directive| directive.name == "http").unwrap();
    let server = http.last("server").unwrap();
    assert_eq!(server.last("root").unwrap().place().source(), "/etc/nginx/sites-enabled/default:3");
    assert_eq!(read.tree.first().unwrap().name, "daemon");
}

#[test]
fn chk_02_includes_that_go_round_are_named() {
    let fixture = Fixture::image()
        .file(MAIN, "a;\ninclude x.conf;\n")
        .file("/etc/nginx/x.conf", "b;\n\ninclude y.conf;")
        .file("/etc/nginx/y.conf", "include x.conf; c;");
    let read = read(&fixture.host(), MAIN, "/etc/nginx", "");
    let (place, why) = read.troubles.first().unwrap();
    assert_eq!(place.source(), "/etc/nginx/y.conf:1");
    assert!(why.en.contains("/etc/nginx/x.conf -> /etc/nginx/y.conf -> /etc/nginx/x.conf"), "{}", why.en);
    assert_eq!(main_only("include nginx.conf; a;"), "a; !nginx.conf:1");
}

#[test]
fn chk_02_depth_and_files_are_bounded() {
    let mut fixture = Fixture::image().file(MAIN, "include f0;");
    for depth in 0..1000 {
        fixture = fixture.file(&format!("/etc/nginx/f{depth}"), format!("a{depth}; include f{};", depth + 1));
    }
    let text = shown(&fixture);
    assert!(text.contains("a15;") && !text.contains("a16;") && text.contains("!f15:1"), "{text}");
    // Each file twice in the one above: 65,536 readings without a bound.
    let mut fixture = Fixture::image().file(MAIN, "include f0;");
    for depth in 0..16 {
        let next = depth + 1;
        fixture = fixture.file(&format!("/etc/nginx/f{depth}"), format!("include f{next}; include f{next};"));
    }
    let read = read(&fixture.host(), MAIN, "/etc/nginx", "");
    assert!(read.troubles.iter().any(|(_, why)| why.en.contains("more than 2000 files")), "{:?}", read.troubles);
    let mut fixture = Fixture::image().file(MAIN, "a; include many/*;");
    for at in 0..2001 {
        fixture = fixture.file(&format!("/etc/nginx/many/{at}"), "");
    }
    assert_eq!(shown(&fixture), "a; !nginx.conf:1");
    let deep = "a {".repeat(100_000);
    assert!(main_only(&deep).ends_with("!nginx.conf:1"));
}

#[test]
fn chk_01_a_configuration_of_any_size_is_read_or_told() {
    let servers = "server { }\n".repeat(600_000);
    let told = main_only(&servers);
    assert!(told.ends_with("!nginx.conf:500001"), "{}", &told[told.len() - 40..]);
    assert!(main_only(&"x".repeat(9 << 20)).contains("!nginx.conf"));
    assert_eq!(main_only(&format!("map a b {{ {} ; }} c;", "x ".repeat(1 << 20))), "map a b{}c;");
}

#[test]
fn chk_04_what_is_no_text_is_told_with_its_file() {
    for (bytes, expected) in [
        (&b"a\0b;"[..], "!nginx.conf"),
        (b"\xff\xfea\0;\0", "!nginx.conf"),
        (b"\xef\xbb\xbfa;", "a;"),
        (b"a b\xe9;\r\n", "a b\u{fffd};"),
        (b"\x7fELF\x01\x01;;;{{{}}", "\x7fELF\x01\x01; !nginx.conf:1"),
        (b"\xf0\x9f {", "\u{fffd}{} !nginx.conf:1"),
    ] {
        assert_eq!(shown(&Fixture::image().file(MAIN, bytes)), expected);
    }
}
