//! Ansible with pipelining and shared connections.

use super::{LARGE, Person};

const PLAYBOOK: &str = r#"
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.ping:
    - ansible.builtin.copy:
        src: report.tar
        dest: "/srv/{{ inventory_hostname }}.tar"
        mode: "0640"
    - ansible.builtin.command: sh -c 'echo out; echo err >&2; exit 37'
      register: failing
      failed_when: failing.rc != 37 or failing.stdout != "out" or failing.stderr != "err"
      changed_when: false
    - ansible.builtin.shell: cat
      args:
        stdin: "over standard input"
      register: piped
      failed_when: piped.stdout != "over standard input"
      changed_when: false
    - ansible.builtin.fetch:
        src: "/srv/{{ inventory_hostname }}.tar"
        dest: "fetched/"
        flat: true
"#;

fn person() -> Person {
    let person = Person::with(&["python3"]);
    for file in ["ansible.cfg", "inventory.ini"] {
        person.writes(file, &person.snippet(file));
    }
    person
}

#[test]
fn ansible_works_on_many_hosts_at_once() {
    let person = person();
    person.writes("site.yml", &PLAYBOOK.replace("/srv/", &format!("{}/", person.srv().display())));
    let sent = person.has_a_file("report.tar", LARGE);
    let ping = person.runs(&person.snippet("ansible-ping")).ended_with(0);
    assert_eq!(ping.out().matches("\"ping\": \"pong\"").count(), 4, "{}", ping.out());
    let played = person.runs(&person.snippet("ansible-playbook"));
    assert_eq!(played.code, Some(0), "{}{}", played.out(), played.err());
    for host in ["web-1", "web-2", "web-1.direct", "web-2.direct"] {
        let fetched =
            std::fs::read(person.home().join("fetched").join(format!("{host}.tar"))).expect("fetched");
        assert!(fetched == sent, "{host}: {} of {} bytes, or others", fetched.len(), sent.len());
    }
}

#[test]
fn a_task_that_fails_fails_the_play() {
    let person = person();
    person.writes(
        "site.yml",
        "- hosts: web-1:web-1.direct\n  gather_facts: false\n  tasks:\n    - ansible.builtin.command: sh -c 'exit 37'\n",
    );
    let played = person.runs(&person.snippet("ansible-playbook")).ended_with(2);
    assert_eq!(played.out().matches("\"rc\": 37").count(), 2, "{}", played.out());
}
