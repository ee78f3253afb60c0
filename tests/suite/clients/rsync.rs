//! rsync: a tree with everything that a tree can have.

use super::Person;

/// What a tree is made of: kinds, modes, sizes, names and where links lead.
const LISTING: &str =
    r"find . -mindepth 1 \( -type d -printf '%y %m %p\n' -o -printf '%y %m %s %p %l\n' \) | sort";

const TREE: &str = r"
mkdir -p site/empty site/deep/er 'site/with space'
head -c 300000 /dev/urandom >site/deep/er/noise
printf hello >'site/with space/a file'; : >site/nothing
printf '#!/bin/sh\n' >site/run; chmod 755 site/run
printf secret >site/secret; chmod 600 site/secret; chmod 700 site/deep
ln -s ../nothing site/deep/link; ln -s /does/not/exist site/dangling
printf x >$'site/not-utf8-\xff'
";

#[test]
fn rsync_moves_a_tree_as_it_is() {
    for snippet in ["rsync-jump", "rsync-direct"] {
        let person = Person::with(&["rsync"]);
        person.runs(TREE).ended_with(0);
        person.runs(&person.snippet(snippet)).ended_with(0);
        let compare = format!(
            "tree() {{ (cd \"$1\"; {LISTING}) }}\n\
             diff <(tree site) <(tree back); diff <(tree site) <(tree {srv}/site)\n\
             diff -r --no-dereference site back; [ $(tree site | wc -l) = 12 ]",
            srv = person.srv().display()
        );
        person.runs(&compare).ended_with(0);
        let again = person.snippet(snippet).replace("rsync -a ", "rsync -a -i ");
        let done = person.runs(&again).ended_with(0);
        assert_eq!(done.out(), "", "{snippet}: nothing has changed, so nothing is to be sent again");
    }
}
