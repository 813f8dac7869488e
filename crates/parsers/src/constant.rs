//! Lists of texts that are part of the program, such as those of an event's categories: one copy of each for all events.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use model::{List, Text, Value};

/// Longest list that is kept.
const LONGEST: usize = 4;
/// How many a thread has at hand.
const RECENT: usize = 128;

type Kept = &'static Vec<Value>;

#[derive(Clone, Copy)]
struct Recent {
    texts: [&'static str; LONGEST],
    list: Option<Kept>,
}

thread_local! {
    static LISTS: RefCell<[Recent; RECENT]> = const {
        RefCell::new([Recent { texts: [""; LONGEST], list: None }; RECENT])
    };
}

/// The list of some texts.
pub(crate) fn list(texts: &[&'static str]) -> List {
    match *texts {
        [one] => words([one]),
        [one, two] => words([one, two]),
        [one, two, three] => words([one, two, three]),
        [one, two, three, four] => words([one, two, three, four]),
        _ => plain(texts),
    }
}

/// The list of as many texts as are known where it is asked for.
#[inline(always)]
pub(crate) fn words<const N: usize>(texts: [&'static str; N]) -> List {
    const { assert!(N <= LONGEST, "longer lists are not kept") };
    if texts.contains(&"") {
        return plain(&texts);
    }
    let at = texts
        .iter()
        .fold(0_usize, |sum, text| sum.rotate_left(7) ^ text.as_ptr().addr());
    LISTS.with_borrow_mut(|lists| {
        let Some(recent) = lists.get_mut((at ^ at >> 7) % RECENT) else {
            return List::new();
        };
        // The same places of the program mostly, which is seen without a look at the texts.
        let mut both = recent.texts.iter().zip(texts);
        let same = both.all(|(one, other)| std::ptr::eq(*one, other));
        let ends = recent.texts.get(N).is_none_or(|next| next.is_empty());
        match recent.list {
            Some(list) if same && ends => List::of_static(list),
            _ => recent.learn(&texts),
        }
    })
}

fn plain(texts: &[&'static str]) -> List {
    texts.iter().map(|text| Value::from(Text::of_static(text))).collect()
}

impl Recent {
    #[cold]
    fn learn(&mut self, texts: &[&'static str]) -> List {
        let list = kept(texts);
        self.texts = [""; LONGEST];
        self.texts.iter_mut().zip(texts).for_each(|(place, text)| *place = text);
        self.list = Some(list);
        List::of_static(list)
    }
}

/// The one copy of a list. There are as many as the program has, and they stay.
fn kept(texts: &[&'static str]) -> Kept {
    static ALL: LazyLock<Mutex<HashMap<Vec<&'static str>, Kept>>> = LazyLock::new(Mutex::default);
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(list) = all.get(texts) {
        return list;
    }
    let values = texts.iter().map(|text| Value::from(Text::of_static(text)));
    let list: Kept = Box::leak(Box::new(values.collect()));
    all.insert(texts.to_vec(), list);
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_hold_what_was_asked_for_and_are_in_one_place() {
        let lists: [&[&'static str]; 5] = [&[], &["a"], &["a", "b"], &["b", "a"], &["a", "b", "c", "d", "e"]];
        for _ in 0..2 {
            for texts in lists {
                let plain: Vec<Value> = texts.iter().map(|text| Value::from(*text)).collect();
                assert_eq!(list(texts)[..], plain[..]);
            }
        }
        assert!(std::ptr::eq(&list(&["x", "y"])[0], &list(&["x", "y"])[0]));
    }
}
