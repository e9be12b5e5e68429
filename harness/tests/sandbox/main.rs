//! The sandbox, from outside: what it keeps apart, what it passes through, and that nothing is left
//! of it whoever dies first.
//!
//! The program under test is `examples/sandboxed.rs`. Every process that a test starts has `MARK` in
//! its environment, by which the test finds what is left.

mod case;
mod deaths;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use holdline::sandbox::{Isolation, probe};

use crate::case::{Case, program};

#[test]
fn the_namespaces_are_the_trials_own() {
    let Some(case) = Case::full() else { return };
    let inside = case
        .shell("for n in user mnt pid ipc uts net; do readlink /proc/self/ns/$n; done; echo $$ $PPID $LEVEL");
    let lines: Vec<&str> = inside.lines().collect();
    for (line, name) in lines.iter().zip(["user", "mnt", "pid", "ipc", "uts", "net"]) {
        assert!(line.starts_with(&format!("{name}:[")), "{line}");
        assert_ne!(Path::new(line), fs::read_link(format!("/proc/self/ns/{name}")).expect("a link"));
    }
    assert_eq!(lines[6], "2 1 full");
}

#[test]
fn the_network_is_a_loopback_interface_that_is_up() {
    let Some(case) = Case::full() else { return };
    let table = case.shell("cat /proc/net/dev");
    let interfaces: Vec<&str> =
        table.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim()).collect();
    assert_eq!(interfaces[0], "lo");
    assert!(!interfaces.contains(&"eth0"), "{interfaces:?}");
    assert_eq!(case.shell("hostname"), "localhost\n");
    let addresses = case.shell("cat /proc/net/fib_trie");
    assert!(addresses.contains("|-- 127.0.0.1"), "{addresses}");
}

#[test]
fn a_client_has_an_ipv6_address_of_its_own() {
    for nobody in [false, true] {
        let Some(case) = Case::full() else { return };
        let case = if nobody { case.with_nobody() } else { case };
        if Path::new("/proc/sys/net/ipv6").exists() {
            assert_eq!(case.prints(&["@connect6"]), "true fd68:6f6c:6400::4d\n");
        }
    }
}

#[test]
fn two_sandboxes_listen_on_the_same_port_at_once() {
    let (Some(one), Some(mut other)) = (Case::full(), Case::full()) else { return };
    let folder = one.shared("meeting");
    other.spec.reach.push(folder.clone());
    let start = |case: &Case| -> Child {
        let words = ["outer", "@meet", "4242", folder.to_str().expect("text"), "2"];
        case.command(&words).spawn().expect("an executable")
    };
    let (mut first, mut second) = (start(&one), start(&other));
    assert!(first.wait().expect("an end").success());
    assert!(second.wait().expect("an end").success());
}

#[test]
fn sysctls_are_set_inside_only() {
    let sysctls = [
        ("net.core.somaxconn", "77"),
        ("net.ipv4.tcp_abort_on_overflow", "1"),
        ("net.ipv4.tcp_syncookies", "0"),
        ("net.ipv4.tcp_migrate_req", "1"),
        ("net.ipv4.tcp_tw_reuse", "0"),
        ("net.ipv4.ip_local_port_range", "20000\t20999"),
    ];
    let path = |name: &str| format!("/proc/sys/{}", name.replace('.', "/"));
    for nobody in [false, true] {
        let Some(mut case) = Case::full() else { return };
        if nobody {
            case = case.with_nobody();
        }
        let known: Vec<_> = sysctls.iter().filter(|(name, _)| Path::new(&path(name)).exists()).collect();
        let host: Vec<_> =
            known.iter().map(|(name, _)| fs::read_to_string(path(name)).expect("a sysctl")).collect();
        let mut script = "cat".to_owned();
        for (name, value) in &known {
            case = case.sysctl(name, value);
            script = format!("{script} {}", path(name));
        }
        let values: Vec<&str> = known.iter().map(|(_, value)| *value).collect();
        assert_eq!(case.shell(&script).lines().collect::<Vec<_>>(), values);
        let after: Vec<_> =
            known.iter().map(|(name, _)| fs::read_to_string(path(name)).expect("a sysctl")).collect();
        assert_eq!(host, after);
    }
}

fn two_lines(text: &str) -> [u64; 2] {
    let numbers: Vec<u64> = text.lines().map(|line| line.parse().expect("a number")).collect();
    numbers.try_into().expect("two lines")
}

#[test]
fn the_connection_table_can_be_small() {
    const TABLE: &str = "/proc/sys/net/ipv4/tcp_ehash_entries";
    const HALF_OPEN: &str = "/proc/sys/net/ipv4/tcp_max_syn_backlog";
    const TIME_WAIT: &str = "/proc/sys/net/ipv4/tcp_max_tw_buckets";
    for nobody in [false, true] {
        let Some(case) = Case::full() else { return };
        let case = if nobody { case.with_nobody() } else { case };
        // The kernel has it since Linux 6.1, and shows a table that is shared as a negative number.
        if Path::new(TABLE).exists() {
            let places = |case: &Case| case.shell(&format!("cat {TABLE}"));
            let limits = |case: &Case| case.shell(&format!("cat {HALF_OPEN} {TIME_WAIT}"));
            assert!(places(&case).starts_with('-'));
            let [half_open, time_wait] = two_lines(&limits(&case));
            let case = case.connection_table(1024);
            assert_eq!(places(&case), "1024\n");
            let [half_open_now, time_wait_now] = two_lines(&limits(&case));
            assert_eq!(half_open_now, half_open, "a server may notice that limit");
            assert!(time_wait_now < time_wait && time_wait_now < 1024, "{time_wait_now}, {time_wait}");
        }
    }
}

#[test]
fn a_sysctl_that_cannot_be_set_is_named() {
    let Some(case) = Case::full() else { return };
    case.sysctl("net.ipv4.tcp_telepathy", "1")
        .fails("`net.ipv4.tcp_telepathy` to `1`: a network namespace of this kernel has no such sysctl");
    let Some(case) = Case::full() else { return };
    case.sysctl("net.core.somaxconn", "many")
        .fails("`net.core.somaxconn` to `many`: the kernel does not take this value");
    let Some(case) = Case::full() else { return };
    case.sysctl("net.ipv4.tcp_mem", "1 2 3").fails("`net.ipv4.tcp_mem` to `1 2 3`: ");
    let Some(case) = Case::full() else { return };
    case.sysctl("vm.swappiness", "61").fails("only sysctls that begin with `net.`");
}

#[test]
fn the_work_folder_is_fresh_and_gone_afterwards() {
    for nobody in [false, true] {
        let Some(case) = Case::full() else { return };
        let case = if nobody { case.with_nobody() } else { case };
        let script = "stat -f -c %T $TMPDIR; stat -c %a $TMPDIR; ls -A $TMPDIR; cp /bin/true $TMPDIR; $TMPDIR/true && echo $TMPDIR";
        let printed = case.shell(script);
        let lines: Vec<&str> = printed.lines().collect();
        assert_eq!(lines[..2], ["tmpfs", "1777"], "{printed}");
        assert!(lines[2].starts_with(case.folder.path().to_str().expect("text")), "{printed}");
        assert!(!Path::new(lines[2]).exists());
    }
}

#[test]
fn private_directories_are_empty_inside() {
    for nobody in [false, true] {
        let Some(case) = Case::full() else { return };
        let (outer, plain) = (case.shared("outer"), case.shared("plain"));
        let inner = outer.join("inner");
        fs::create_dir(&inner).expect("a folder");
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o751)).expect("permissions");
        for path in [&outer, &inner, &plain] {
            fs::write(path.join("file"), "of the host").expect("a file");
        }
        let case = case.private(&inner).private(&outer);
        let case = if nobody { case.with_nobody() } else { case };
        let script =
            "cd \"$0\"; ls outer outer/inner plain; stat -c %a outer/inner; touch outer/new outer/inner/new";
        let printed = case.prints(&["sh", "-c", script, case.folder.path().to_str().expect("text")]);
        assert_eq!(printed, "outer:\ninner\n\nouter/inner:\n\nplain:\nfile\n751\n");
        assert!(!outer.join("new").exists() && !inner.join("new").exists());
    }
}

#[test]
fn a_private_directory_may_hold_the_work_folder() {
    let Some(mut case) = Case::full() else { return };
    let temporary = case.shared("tmp");
    case.spec.private.push(temporary.clone());
    let script = "echo inside > $TMPDIR/file; cat $TMPDIR/file; stat -f -c %T $TMPDIR";
    let output = case
        .command(&["outer", "sh", "-c", script])
        .env("TMPDIR", &temporary)
        .output()
        .expect("an executable");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "inside\ntmpfs\n", "{output:?}");
    assert_eq!(fs::read_dir(&temporary).expect("a folder").count(), 0);
}

#[test]
fn a_private_directory_may_not_hide_what_is_kept() {
    let Some(mut case) = Case::full() else { return };
    let run = case.shared("run");
    case.spec.keep.push(run.join("out"));
    case.private(&run).fails("it would hide");
    let Some(case) = Case::full() else { return };
    case.private(Path::new("/nonexistent/run"))
        .fails("`/nonexistent/run` as a directory of the sandbox: it does not exist");
}

#[test]
fn ids_are_all_there_for_root_and_one_for_others() {
    let Some(case) = Case::full() else { return };
    let own = fs::read_to_string("/proc/self/uid_map").expect("a map");
    if nix::unistd::geteuid().is_root() && own.trim_end().ends_with("4294967295") {
        assert_eq!(case.shell("cat /proc/self/uid_map"), own);
        assert_eq!(case.shell("setpriv --reuid 33 --regid 33 --clear-groups id -u"), "33\n");
    }
    let Some(case) = Case::full() else { return };
    let map = case.with_nobody().shell("id -u; id -g; cat /proc/self/uid_map /proc/self/setgroups");
    let words: Vec<&str> = map.split_whitespace().collect();
    assert_eq!([&words[..3], &words[4..]].concat(), ["0", "0", "0", "1", "deny"], "{map}");
}

#[test]
fn real_root_stays_the_machines_own_in_namespaces_that_are_not() {
    let Some(case) = Case::full() else { return };
    let may = Command::new("unshare").args(["-n", "true"]).output();
    if !(nix::unistd::geteuid().is_root() && may.is_ok_and(|output| output.status.success())) {
        return;
    }
    let inside = case
        .real_root()
        .shell("for n in user mnt pid net; do readlink /proc/self/ns/$n; done; echo $$ $PPID $LEVEL; id -u");
    let lines: Vec<&str> = inside.lines().collect();
    for (line, name) in lines.iter().zip(["user", "mnt", "pid", "net"]) {
        let outside = fs::read_link(format!("/proc/self/ns/{name}")).expect("a link");
        assert_eq!(Path::new(line) == outside, name == "user", "{line}");
    }
    assert_eq!(lines[4..], ["2 1 full", "0"]);
}

#[test]
fn orphans_that_end_are_reported() {
    let script = "(sh -c 'sleep 0.02; exit 7' &) ; (setsid sh -c 'trap \"\" TERM; sleep 0.05; kill -9 $$' > /dev/null &) ; echo 2";
    let expected = "adopted exit status: 7 lost 0\nadopted signal: 9 (SIGKILL) lost 0\n";
    for isolation in Isolation::ALL {
        let Some(case) = Case::at(*isolation) else { return };
        // A caller that ignores SIGCHLD must not make a difference.
        for trap in ["", "trap '' CHLD;"] {
            let mut command = Command::new("sh");
            let inner = case.command(&["outer", "@adopt", script]);
            command
                .args(["-c", &format!("{trap} exec \"$0\" \"$@\"")])
                .arg(inner.get_program())
                .args(inner.get_args());
            command
                .envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))))
                .stdin(Stdio::null());
            let output = command.output().expect("a shell");
            let mut lines: Vec<&str> =
                std::str::from_utf8(&output.stdout).expect("text").split_inclusive('\n').collect();
            lines.sort_unstable();
            assert_eq!(lines.concat(), expected, "{output:?}");
        }
    }
}

#[test]
fn orphans_that_live_are_listed_and_then_gone() {
    let script = "(sh -c 'trap \"\" TERM; echo $$; exec sleep 1000 > /dev/null 2>&1' &) ;
        (setsid sh -c 'echo $$; exec sleep 1000 > /dev/null 2>&1' &) ; sh -c 'exit 3'";
    for isolation in Isolation::ALL {
        let Some(case) = Case::at(*isolation) else { return };
        let printed = case.prints(&["@adopted-now", script]);
        let (told, seen) = printed.trim_end().split_once('\n').expect("two lines");
        let sorted = |text: &str| {
            let mut pids: Vec<i32> = text.split(' ').map(|pid| pid.parse().expect("a pid")).collect();
            pids.sort_unstable();
            pids
        };
        assert_eq!(sorted(told), sorted(seen));
        // With full isolation the outer process ends only after everything else has.
        assert!(case.survivors().is_empty());
    }
}

#[test]
fn how_the_runner_ends_is_passed_on() {
    for isolation in Isolation::ALL {
        let Some(mut case) = Case::at(*isolation) else { return };
        for (script, code) in
            [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -TERM $$", 143), ("kill -SEGV $$", 139)]
        {
            assert_eq!(case.run(&["sh", "-c", script]).status.code(), Some(code), "{script}");
        }
        // Stage 0 itself ends by the signal; here it has no lifeline.
        case.spec.work = case.shared("work");
        let status = |script| case.command(&["stage0", "sh", "-c", script]).status().expect("an executable");
        assert_eq!(status("kill -TERM $$").signal(), Some(libc::SIGTERM));
        assert_eq!(status("kill -KILL $$").signal(), Some(libc::SIGKILL));
        assert_eq!(status("kill -40 $$").code(), Some(168));
        assert_eq!(status("exit 9").code(), Some(9));
    }
}

#[test]
fn a_program_that_is_not_there_fails_with_its_own_error() {
    let Some(case) = Case::full() else { return };
    let output = case.run(&["/nonexistent/program"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&output.stderr).contains("No such file"));
}

#[test]
fn only_a_single_thread_may_enter() {
    let mut case = Case::new(Isolation::Full);
    case.spec.work = case.shared("work");
    let output = case.command(&["crowd", "true"]).output().expect("an executable");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("2 threads are running"), "{error}");
}

#[test]
fn no_descriptor_of_the_sandbox_is_inherited() {
    for isolation in Isolation::ALL {
        let Some(case) = Case::at(*isolation) else { return };
        let list = "ls -l /proc/self/fd";
        let ours = |listing: &str| {
            let kinds = ["pipe:", "anon_inode:", "socket:"];
            listing.lines().filter(|line| kinds.iter().any(|kind| line.contains(kind))).count()
        };
        // What the test itself was given without close-on-exec is there outside, too.
        let outside = Command::new("sh").args(["-c", list]).stdin(Stdio::piped()).output().expect("a shell");
        assert_eq!(ours(&case.shell(list)), ours(&String::from_utf8_lossy(&outside.stdout)));
    }
}

#[test]
fn without_isolation_what_needs_it_is_refused() {
    Case::new(Isolation::None)
        .sysctl("net.core.somaxconn", "7")
        .fails("sysctl `net.core.somaxconn`: needs full isolation");
    Case::new(Isolation::None)
        .private(Path::new("/run"))
        .fails("private directory `/run`: needs full isolation");
}

#[test]
fn a_probe_says_what_can_be_had() {
    let output = Command::new(program()).arg("probe").output().expect("an executable");
    match probe() {
        Ok(()) => assert_eq!(String::from_utf8_lossy(&output.stdout), "full false\n"),
        Err(error) => assert_eq!(String::from_utf8_lossy(&output.stderr), format!("error: {error}\n")),
    }
}

/// In a user namespace that allows no further ones, full isolation cannot be had.
#[test]
fn a_probe_names_what_is_missing() {
    if probe().is_err() {
        return;
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "sh", "-c"]);
    unshare.args(["echo 0 > /proc/sys/user/max_user_namespaces; exec \"$0\" probe"]).arg(program());
    let output = unshare.output().expect("unshare");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("failed to create the trial's namespaces: ENOSPC"), "{error}");
    assert!(error.contains("`sysctl -w user.max_user_namespaces="), "{error}");
    assert_eq!(output.status.code(), Some(5));
}

#[test]
fn a_sandbox_fits_into_a_user_namespace() {
    let Some(case) = Case::full() else { return };
    let mut unshare = Command::new("unshare");
    let inner = case.command(&["outer", "cat", "/proc/self/uid_map"]);
    unshare.args(["--user", "--map-root-user"]).arg(inner.get_program()).args(inner.get_args());
    let output = unshare.output().expect("unshare");
    let map = String::from_utf8_lossy(&output.stdout);
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "0", "1"], "{output:?}");
}
