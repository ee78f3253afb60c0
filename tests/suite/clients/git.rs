//! git over ssh: clone and push.

use super::{Person, lab};

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
cd app
head -c 1048576 /dev/urandom >more
git add .
git commit --quiet -m "more"
git push --quiet origin HEAD:refs/heads/more
[ "$(git rev-parse HEAD)" = "$(ssh web-1 git -C /srv/app.git rev-parse more)" ]
git push --quiet origin :refs/heads/more
cd ..
rm -rf app
"#;

#[test]
fn git_clones_and_pushes() {
    let person = Person::with(&["git"]);
    let here = |script: &str| script.replace("/srv/", &format!("{}/", person.srv().display()));
    person.runs(&here(SEED)).ended_with(0);
    for snippet in ["git-jump", "git-direct", "git-ssh-command"] {
        let clone = format!("export GIT_TRACE_PACKET=1\n{}", person.snippet(snippet));
        let done = person.runs(&clone).ended_with(0);
        assert!(done.err().contains("< version 2"), "{snippet}: the second protocol was not spoken");
        // A push goes as the clone did.
        let as_before = match snippet {
            "git-ssh-command" => format!("export GIT_SSH_COMMAND='ssh -p {}'\n", lab().port()),
            _ => String::new(),
        };
        person.runs(&format!("{as_before}{}", here(GO_ON))).ended_with(0);
    }
    person.runs(&here("ssh web-1 git -C /srv/app.git fsck --full --no-progress")).ended_with(0);
}
