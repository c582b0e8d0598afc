//! The thin slice, through every part: set-up, sign-in, tenant, token, enrolment, tunnel, guard, holder, command.

use cloud_doctor_tests::site::Site;

#[test]
fn a_command_runs_through_the_whole_road() {
    let site = Site::new();
    let output = site.exec(&["sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "out\n");
    assert!(output.stderr.ends_with(b"err\n"), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(7));
    site.nothing_left();
}

#[test]
fn a_command_reads_what_is_piped_into_it_and_its_end() {
    let site = Site::new();
    let mut input = Vec::new();
    for number in 0..20_000 {
        input.extend(format!("line {number}\n").bytes());
    }
    let output = site.exec_with(&["sha256sum"], &input);
    let expected = data_encoding::HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest(&input));
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{expected}  -\n"));
    assert_eq!(output.status.code(), Some(0));
    // A command that dies of a signal, and one that does not exist.
    assert_eq!(site.exec(&["/bin/sh", "-c", "kill -9 $$"]).status.code(), Some(137));
    for (argv, code, english, chinese) in [
        (["/no/such/program"], 127, "no such command", "没有此命令"),
        (["/etc/passwd"], 126, "not executable", "无权执行"),
    ] {
        for (locale, words) in
            [("C.UTF-8", ["The server could not start it", english]), ("zh_CN.UTF-8", ["服务器无法启动", chinese])]
        {
            let mut command = site.client.command(&["exec", "web-1", "--user", "root", "--", argv[0]]);
            command.env("LC_ALL", locale);
            let output = site.world.output("missing", command);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(code), "{said}");
            assert!(words.iter().all(|word| said.contains(word)), "{said}");
            assert!(locale == "C.UTF-8" || !said.contains("command"), "a sentence in two languages: {said}");
        }
    }
    site.nothing_left();
}
