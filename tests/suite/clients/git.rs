//! git over ssh: clone and push.

use super::Person;

/// A repository on the instance, and what is pushed into it first: 24 MiB that do not compress.
const SEED: &str = r#"
git config --global user.name Alice
git config --global user.email alice@example.com
git config --global init.defaultBranch main
ssh web-1 git init --quiet --bare /srv/app.git
ssh web-1 git -C /srv/app.git symbolic-ref HEAD refs/heads/main
git init --quiet seed
cd seed
for n in 1 2 3; do head -c 8388608 /dev/urandom >noise$n; done
ln -s noise1 link
git add .
git commit --quiet -m "the beginning"
git push --quiet web-1:/srv/app.git main
"#;

/// In the clone: the same files; a commit; a push; and the instance has it.
const GO_ON: &str = r#"
diff -r --no-dereference --exclude .git seed app
git -C app fsck --full --no-progress
cd app
head -c 8388608 /dev/urandom >more
git add .
git commit --quiet -m "more"
git push --quiet origin HEAD
[ "$(git rev-parse HEAD)" = "$(ssh web-1 git -C /srv/app.git rev-parse main)" ]
ssh web-1 git -C /srv/app.git fsck --full --no-progress
"#;

#[test]
fn git_clones_and_pushes() {
    for snippet in ["git-jump", "git-direct", "git-ssh-command"] {
        let person = Person::with(&["git"]);
        let here = |script: &str| script.replace("/srv/", &format!("{}/", person.srv().display()));
        person.runs(&here(SEED)).ended_with(0);
        person.runs(&person.snippet(snippet)).ended_with(0);
        // A push of this clone goes as the clone did.
        let ssh = if snippet == "git-ssh-command" {
            format!("git -C app config core.sshCommand 'ssh -p {}'", super::lab().port())
        } else {
            String::new()
        };
        person.runs(&format!("{ssh}\n{}", here(GO_ON))).ended_with(0);
    }
}

#[test]
fn git_speaks_its_second_protocol() {
    let person = Person::with(&["git"]);
    let here = |script: &str| script.replace("/srv/", &format!("{}/", person.srv().display()));
    person.runs(&here(SEED)).ended_with(0);
    for (snippet, folder) in [("git-jump", "one"), ("git-direct", "two")] {
        let clone = person.snippet(snippet);
        let done = person.runs(&format!("export GIT_TRACE_PACKET=1\n{clone} {folder}")).ended_with(0);
        assert!(done.err().contains("< version 2"), "{snippet}: {done:?}");
    }
}
