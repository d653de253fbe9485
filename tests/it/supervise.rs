//! `edgelay supervise` for real: a jail without any service manager, programs that end in every way.

use crate::support::jail::Jail;

/// What the jail's services are, as an install would write them. `busy` keeps count of its starts, `stubborn` is deaf to SIGTERM.
const SERVICES: &str = r#"
set -e
mkdir -p /etc/edgelay/supervise
cat >/usr/local/bin/count <<'SH'
#!/bin/bash
echo start >>/root/$1; echo "$1 says hello"
case $1 in
failing) exit 3 ;;
deaf) trap '' TERM ;;
polite) trap 'echo bye >>/root/polite; exit 0' TERM INT; trap 'echo hup >>/root/polite' HUP ;;
esac
while :; do sleep 0.05; done
SH
chmod +x /usr/local/bin/count
entry() { printf '# by hand\n/usr/local/bin/count\n%s\n' "$1" >/etc/edgelay/supervise/$1; }
entry failing; entry polite; entry steady
echo nonsense >/etc/edgelay/supervise/broken
setsid edgelay supervise </dev/null >/root/said 2>&1 &
"#;

/// Waits in the jail until a line of bash succeeds.
#[track_caller]
fn until(jail: &Jail, line: &str) {
    let waited = jail.sh(&format!("for i in {{1..1200}}; do {line} && exit 0; sleep 0.05; done; exit 1"));
    let logs = jail.sh("cat /root/said; tail -n 20 /var/log/edgelay/*.log; ls -l /run/edgelay; ps -ef");
    assert_eq!(waited.code, 0, "in vain: {line}\n{}", logs.said());
}

fn pid(jail: &Jail, name: &str) -> String {
    until(jail, &format!("[ -s /run/edgelay/{name}.pid ]"));
    jail.sh(&format!("cat /run/edgelay/{name}.pid")).good().trim().to_owned()
}

#[test]
fn services_are_kept_started_again_and_ended() {
    let Some(jail) = Jail::start("services_are_kept_started_again_and_ended") else { return };
    jail.sh(SERVICES).good();
    let supervisor = || jail.sh("cat /run/edgelay/supervise.lock").good().trim().to_owned();
    let (steady, polite) = (pid(&jail, "steady"), pid(&jail, "polite"));

    // A second one is refused, and does no harm.
    jail.run(&["edgelay", "supervise"]).fails(9, "another edgelay is running here");

    // Killed: back, with a pause, and it is told in its log.
    // A signal without a name: a child that ended so is collected all the same.
    jail.sh(&format!("kill -40 {steady}")).good();
    until(&jail, &format!("[ -s /run/edgelay/steady.pid ] && [ $(cat /run/edgelay/steady.pid) != {steady} ]"));
    until(
        &jail,
        "grep -q 'steady process .* was ended by signal 40; starting it again in 1 s' /var/log/edgelay/steady.log",
    );
    let again = pid(&jail, "steady");

    // One that cannot run is tried ever later: 1, 2, 4 s.
    until(&jail, "grep -q 'ended with status 3; starting it again in 4 s' /var/log/edgelay/failing.log");
    until(&jail, "[ $(cat /run/edgelay/failing.failed) -ge 3 ]");
    assert!(jail.sh("cat /root/said").good().contains("entry '/etc/edgelay/supervise/broken'"));

    // SIGHUP is passed on.
    jail.sh(&format!("kill -HUP {}", supervisor())).good();
    until(&jail, "grep -q hup /root/polite");
    assert_eq!(pid(&jail, "polite"), polite, "it knows SIGHUP and goes on");
    until(&jail, &format!("[ -s /run/edgelay/steady.pid ] && [ $(cat /run/edgelay/steady.pid) != {again} ]"));

    // A supervisor that is killed takes nobody along, and the next one goes on with what runs.
    let steady = pid(&jail, "steady");
    jail.sh(&format!("kill -9 {}; setsid edgelay supervise </dev/null >/root/said 2>&1 &", supervisor())).good();
    until(&jail, &format!("grep -q 'steady goes on with process {steady}' /var/log/edgelay/steady.log"));
    assert_eq!(pid(&jail, "steady"), steady);
    jail.sh(&format!("kill -9 {steady}")).good();
    until(&jail, &format!("[ -s /run/edgelay/steady.pid ] && [ $(cat /run/edgelay/steady.pid) != {steady} ]"));

    // Orphans of services are collected: no zombie stays.
    jail.sh("(setsid sh -c 'sleep 0.1 & exec sleep 0.2' &)").good();
    until(&jail, "! ps -eo stat= | grep -q ^Z");

    // Told to end, it ends all, those that listen and those that do not.
    jail.sh("printf '/usr/local/bin/count\\ndeaf\\n' >/etc/edgelay/supervise/deaf").good();
    jail.sh(&format!("kill -USR1 {}", supervisor())).good();
    pid(&jail, "deaf");
    jail.sh(&format!("kill -TERM {}", supervisor())).good();
    until(&jail, "! pgrep -f '[c]ount|[s]upervise' >/dev/null");
    until(&jail, "grep -q bye /root/polite");
    jail.close();
}

#[test]
fn a_log_is_set_aside_while_it_is_written() {
    let Some(jail) = Jail::start("a_log_is_set_aside_while_it_is_written") else { return };
    jail.sh(
        r#"mkdir -p /etc/edgelay/supervise
        printf '#!/bin/bash\nwhile :; do head -c 30000 /dev/zero | tr "\\0" x; echo; sleep 0.05; done\n' >/usr/local/bin/chatter
        chmod +x /usr/local/bin/chatter; echo /usr/local/bin/chatter >/etc/edgelay/supervise/chatter
        setsid edgelay supervise </dev/null >/root/said 2>&1 &"#,
    )
    .good();
    until(&jail, "[ -s /var/log/edgelay/chatter.log.old ]");
    until(&jail, "[ $(stat -c %s /var/log/edgelay/chatter.log) -lt 1000000 ]");
    assert_eq!(jail.sh("stat -c '%s %a' /var/log/edgelay/chatter.log.old").good(), "1048576 600\n");
    jail.close();
}
