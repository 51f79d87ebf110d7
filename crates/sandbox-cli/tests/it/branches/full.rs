//! A disk that is full, in the middle of a command and in the middle of a commit.

use super::mounts::nothing_goes_wrong;
use super::project::name_of_test;

#[test]
fn a_disk_that_is_full_is_an_error_inside_and_the_branch_stays_whole() {
    nothing_goes_wrong(
        name_of_test!(),
        r#"
        W=$PWD; ST=$DISK/state; echo one > f
        on x 'echo two > f; echo before > kept' || wrong "first run"
        again x 'head -c 8388608 /dev/zero > big' 2> said && wrong "there was room"
        grep -q "No space left" said || wrong "ENOSPC: $(cat said)"
        rm said
        [ "$(cat f)" = one ] || wrong base
        branch diff x --name-only | grep -qx kept || wrong "diff: $(branch diff x)"
        [ "$(again x 'rm big; cat f kept' | tr '\n' ' ')" = "two before " ] || wrong "next run"
        branch commit x 2> said || wrong "commit: $(cat said)"
        [ "$(cat f kept | tr '\n' ' ')" = "two before " ] || wrong "committed: $(cat f kept)"
        branch undo 2> said || wrong "undo: $(cat said)"
        [ "$(cat f)" = one ] || wrong "undone"
        branch discard x 2> /dev/null || wrong discard"#,
    );
}

#[test]
fn a_branch_that_there_is_no_room_for_is_not_made_and_nothing_of_it_is_left() {
    nothing_goes_wrong(
        name_of_test!(),
        r#"
        W=$PWD; ST=$DISK/state; mkdir -p "$ST"; head -c 1000000 /dev/urandom > f
        head -c 8388608 /dev/zero > "$DISK/ballast" 2> /dev/null
        on x 'echo started' > out 2> said && wrong "it started"
        grep -q started out && wrong "it started"
        grep -q "No space left" said || wrong "said: $(cat said)"
        rm "$DISK/ballast" out said
        [ -z "$(branch list 2> /dev/null)" ] || wrong "left: $(branch list)"
        branch gc > /dev/null || wrong gc
        on x 'echo started' > /dev/null || wrong "afterwards""#,
    );
}

#[test]
fn a_commit_to_a_disk_that_is_full_changes_nothing_and_can_be_repeated() {
    nothing_goes_wrong(
        name_of_test!(),
        r#"
        ST=$PWD/state; W=$DISK/app; mkdir "$W"; cd "$W"
        echo one > f; echo gone > g; head -c 2500000 /dev/urandom > ballast
        look() { find . -printf '%P %y %m %s %T@\n' | sort; find . -type f -exec cksum {} + | sort; }
        look > "$ST.before"
        on x 'echo two > f; rm g; mkdir d; for i in 1 2 3 4 5 6; do head -c 500000 /dev/urandom > d/$i; done' ||
            wrong "run"
        branch commit x 2> "$ST.said" && wrong "there was room"
        grep -q "No space left" "$ST.said" || wrong "said: $(cat "$ST.said")"
        look > "$ST.after"; cmp -s "$ST.before" "$ST.after" || wrong "half: $(diff "$ST.before" "$ST.after")"
        branch recover 2>&1 | grep -q "nothing was interrupted" || wrong "interrupted: $(branch recover 2>&1)"
        [ $(branch diff x --name-only | wc -l) = 9 ] || wrong "diff: $(branch diff x)"
        rm ballast
        branch commit x 2> "$ST.said" || wrong "commit: $(cat "$ST.said")"
        [ "$(cat f)" = two ] && [ ! -e g ] && [ -s d/6 ] || wrong "committed""#,
    );
}

#[test]
fn a_commit_whose_journal_has_no_room_changes_nothing() {
    nothing_goes_wrong(
        name_of_test!(),
        r#"
        W=$PWD; ST=$DISK/state; echo one > f; head -c 300000 /dev/urandom > old; cksum old > sum
        on x 'echo two > f; head -c 300000 /dev/urandom > old; echo more > new' || wrong run
        head -c 8388608 /dev/zero > "$DISK/ballast" 2> /dev/null
        branch commit x 2> said && wrong "there was room"
        grep -q "No space left" said || wrong "said: $(cat said)"
        [ "$(cat f)" = one ] && cksum old | cmp -s - sum && [ ! -e new ] || wrong "half"
        rm "$DISK/ballast"
        branch recover --roll-back 2> /dev/null
        branch commit x 2> said || wrong "commit: $(cat said)"
        [ "$(cat f new | tr '\n' ' ')" = "two more " ] || wrong "committed""#,
    );
}

/// In mode `copy` all of it is copied beforehand.
#[test]
fn opening_with_truncation_takes_no_room_for_what_it_throws_away() {
    nothing_goes_wrong(
        name_of_test!(),
        r#"
        [ $MODE = copy ] && exit 0
        W=$PWD; ST=$DISK/state; head -c 16777216 /dev/zero > big
        on x ': > big; echo short > big; cat big' > out 2>&1
        [ "$(cat out)" = short ] || wrong "$(cat out)"
        [ $(stat -c %s big) = 16777216 ] || wrong base"#,
    );
}
