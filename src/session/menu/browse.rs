//! The menu while it is on the screen: keys in, pictures out.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::listing::{self, Job};
use super::pen::{Pen, Stroke};
use super::{FAREWELL, Host, Input, Parting};
use crate::domain::{Login, Target};
use crate::menu::{Key, Listing, Wish};
use crate::session::sentences;
use crate::ssh::{ChannelEvent, ChannelRequest};

/// How long a menu stays without a key.
pub(super) const IDLE: Duration = Duration::from_secs(15 * 60);
/// How often the age of the list is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How long a list stays. It holds the copy of the inventory that it was made from.
const LIST_STAYS: Duration = Duration::from_secs(5 * 60);

/// What is under way while the menu is on the screen.
struct Show<'c> {
    pen: Pen<'c>,
    /// The screen is not what it should be.
    stale: bool,
    listing: Option<Job<Listing>>,
    logins: Option<Job<(Arc<Target>, Vec<Login>)>>,
    /// An Enter that came before there was a list.
    enter: bool,
    idle_at: Instant,
    look_at: Instant,
    list_again_at: Instant,
    /// When a key that may be half told is taken as it is.
    expires_at: Option<Instant>,
}

impl Host<'_> {
    /// Takes the terminal and shows the menu until it is left.
    pub(super) async fn browse(&mut self) -> Parting {
        let now = Instant::now();
        let mut show = Show {
            pen: Pen::new(self.client),
            stale: true,
            listing: None,
            logins: None,
            enter: false,
            idle_at: now + IDLE,
            look_at: now,
            list_again_at: now + LIST_STAYS,
            expires_at: None,
        };
        show.pen.write(self.screen.enter());
        self.list(&mut show);
        let parting = loop {
            if show.stale && show.pen.is_idle() {
                show.pen.wait_for_room();
            }
            if let Some(parting) = self.step(&mut show).await {
                break parting;
            }
        };
        // A client that does not read in time has the CAN that the last words start with.
        let _in_time = timeout(FAREWELL, show.pen.lift()).await;
        parting
    }

    fn list(&mut self, show: &mut Show<'_>) {
        if show.listing.is_none() {
            show.listing = Some(listing::targets(self.services, self.guest));
            show.list_again_at = Instant::now() + LIST_STAYS;
            self.menu.list_is_underway();
            show.stale = true;
        }
    }

    /// Waits for one thing and deals with it.
    async fn step(&mut self, show: &mut Show<'_>) -> Option<Parting> {
        let takes_input = self.input.is_empty() && !show.is_busy();
        tokio::select! {
            biased;
            () = self.services.tasks.token().cancelled() => {
                return Some(Parting::Because(sentences::SHUTTING_DOWN));
            }
            () = self.guest.withdrawn.cancelled() => return Some(Parting::Because(sentences::WITHDRAWN)),
            () = self.client.closed() => return Some(Parting::Gone),
            stroke = show.pen.done() => match stroke {
                Ok(Stroke::Waited) => self.draw(show),
                Ok(Stroke::Wrote) => {}
                Err(_closed) => return Some(Parting::Gone),
            },
            listing = finished(&mut show.listing) => {
                show.listing = None;
                self.listed(show, listing);
                return self.take_keys(show);
            }
            logins = finished(&mut show.logins) => {
                show.logins = None;
                show.stale = true;
                return match logins {
                    Ok((target, logins)) => self.ask(show, target, logins),
                    Err(sentence) => {
                        self.menu.say(sentence);
                        (self.forget_input().await == Input::Over).then_some(Parting::Wanted)
                    }
                };
            }
            Some(request) = self.client.recv_request() => self.answer(show, &request),
            event = self.client.recv_data(), if takes_input => match event {
                Some(ChannelEvent::Data(data)) => {
                    self.input = data.into_bytes();
                    let parting = self.take_keys(show);
                    // A long paste must not keep this thread from the connections beside it.
                    tokio::task::yield_now().await;
                    return parting;
                }
                Some(ChannelEvent::Extended(..) | ChannelEvent::Request(_)) => {}
                Some(ChannelEvent::Eof) => return Some(Parting::Wanted),
                None => return Some(Parting::Gone),
            },
            () = until(show.expires_at) => {
                show.expires_at = None;
                if let Some(key) = self.keys.expire() {
                    return self.take_key(show, key);
                }
            }
            () = sleep_until(show.idle_at) => return Some(Parting::Because(sentences::MENU_IDLE)),
            () = sleep_until(show.look_at) => {
                show.look_at = Instant::now() + LOOK_AGAIN;
                if show.list_again_at <= Instant::now() {
                    self.list(show);
                }
                self.menu.set_age(listing::age(self.services));
                show.stale = true;
            }
        }
        None
    }

    fn draw(&mut self, show: &mut Show<'_>) {
        let picture = self.screen.draw(&mut self.menu);
        show.stale = false;
        if !picture.is_empty() {
            show.pen.write(picture);
        }
    }

    fn listed(&mut self, show: &mut Show<'_>, listing: Result<Listing, String>) {
        show.stale = true;
        match listing {
            Ok(listing) => self.menu.show_list(listing),
            Err(sentence) => {
                self.menu.show_list(Listing::default());
                self.menu.say(sentence);
            }
        }
        self.menu.set_age(listing::age(self.services));
    }

    fn answer(&mut self, show: &mut Show<'_>, request: &ChannelRequest) {
        let resized = request.name == "window-change" && self.resize(request.payload.clone());
        show.stale |= resized;
        if request.want_reply {
            self.client.reply(resized);
        }
    }

    /// Uses what was read, as far as it is for the menu.
    fn take_keys(&mut self, show: &mut Show<'_>) -> Option<Parting> {
        if std::mem::take(&mut show.enter) {
            let parting = self.take_key(show, Key::Enter);
            if parting.is_some() {
                return parting;
            }
        }
        while !show.is_busy() {
            let Some(key) = self.keys.next(&mut self.input) else { break };
            let parting = self.take_key(show, key);
            if parting.is_some() {
                return parting;
            }
        }
        show.expires_at = self.keys.waits().map(|wait| Instant::now() + wait);
        None
    }

    fn take_key(&mut self, show: &mut Show<'_>, key: Key) -> Option<Parting> {
        show.idle_at = Instant::now() + IDLE;
        show.stale = true;
        if key == Key::Enter && self.menu.awaits_a_list() {
            show.enter = true;
            return None;
        }
        match self.menu.take(key)? {
            Wish::Leave => return Some(Parting::Wanted),
            Wish::Refresh => self.list(show),
            Wish::Redraw => self.screen.forget(),
            Wish::Open(target) => show.logins = Some(listing::logins(self.services, self.guest, target)),
            Wish::Connect(target, login) => return Some(Parting::For(target, login)),
        }
        None
    }

    /// One login is no question.
    fn ask(&mut self, show: &mut Show<'_>, target: Arc<Target>, logins: Vec<Login>) -> Option<Parting> {
        if let [only] = logins.as_slice() {
            return Some(Parting::For(target, only.clone()));
        }
        self.menu.ask_login(target, logins);
        self.take_keys(show)
    }
}

impl Show<'_> {
    /// Whether the next bytes may be for a session.
    fn is_busy(&self) -> bool {
        self.logins.is_some() || self.enter
    }
}

async fn finished<T: Send + 'static>(job: &mut Option<Job<T>>) -> Result<T, String> {
    match job {
        Some(job) => job.result().await,
        None => pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}
