//! Pending logins, and the steps of a login. Times are in milliseconds.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use secrecy::SecretString;

use super::codes::{DeviceCode, UserCode};

/// How long a login may take.
pub(super) const LIFETIME: Duration = Duration::from_secs(600);

/// How long a device waits between polls, at first.
pub(super) const INTERVAL: Duration = Duration::from_secs(2);

/// How much is added to the interval of a device that polls too soon (RFC 8628, 3.5).
const SLOWER_BY: Duration = Duration::from_secs(5);

/// How much too early a poll may be, since clients' timers are not exact.
const POLL_TOLERANCE: Duration = Duration::from_millis(250);

/// How many keys may be tried with a code. The last wrong one voids it.
const TRIES: u8 = 5;

/// The maximum number of pending logins.
const MAX_LOGINS: usize = 1000;

/// How many pending logins may come from one address.
const MAX_LOGINS_OF_PEER: usize = 20;

/// How many failed forms are remembered, each for [`LIFETIME`].
const MAX_FAILURES: usize = 10_000;

/// How many of the remembered failures may come from one address.
const MAX_FAILURES_OF_PEER: usize = 20;

/// Pending logins and failed forms.
#[derive(Default)]
pub(super) struct PendingLogins {
    by_device: HashMap<[u8; 32], PendingLogin>,
    /// Oldest first.
    failures: VecDeque<(i64, Option<IpAddr>)>,
}

struct PendingLogin {
    client: String,
    user_code: UserCode,
    peer: Option<IpAddr>,
    started: i64,
    polled: i64,
    interval: Duration,
    state: State,
}

enum State {
    /// No accepted key was entered yet, and this many attempts are left.
    Waiting { tries: u8 },
    /// Approved: the device may fetch this key.
    Approved(SecretString),
    /// The last attempt failed.
    Denied,
}

/// Why a login cannot begin.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StartError {
    /// The address has too many pending logins.
    Peer,
    /// All addresses together have too many pending logins.
    All,
}

/// Why a poll gets no key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PollError {
    Pending,
    /// The device polled too soon.
    TooSoon,
    /// The last attempt failed.
    Denied,
    /// The code belongs to another device.
    OtherClient,
    /// The login has expired or ended, or never existed.
    Gone,
}

/// Why a form does not approve a login.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum VerifyError {
    /// There is no pending login with this code.
    Code,
    /// The key is not accepted.
    Key,
    /// The key is not accepted, and it was the last attempt, so the code is void.
    LastKey,
    /// The address has sent too many failed forms.
    Peer,
}

impl PendingLogins {
    /// Begins a login.
    pub(super) fn start(
        &mut self,
        client: String,
        peer: Option<IpAddr>,
        now: i64,
    ) -> Result<(DeviceCode, UserCode), StartError> {
        self.remove_expired(now);
        let of_peer = self.by_device.values().filter(|login| login.peer == peer);
        if of_peer.count() >= MAX_LOGINS_OF_PEER {
            return Err(StartError::Peer);
        }
        if self.by_device.len() >= MAX_LOGINS {
            return Err(StartError::All);
        }
        let device = DeviceCode::random();
        let user_code = self.unused_code();
        let login = PendingLogin {
            client,
            user_code: user_code.clone(),
            peer,
            started: now,
            polled: now,
            interval: INTERVAL,
            state: State::Waiting { tries: TRIES },
        };
        self.by_device
            .insert(DeviceCode::digest(device.expose()), login);
        Ok((device, user_code))
    }

    fn unused_code(&self) -> UserCode {
        loop {
            let code = UserCode::random();
            if !self.by_device.values().any(|login| login.user_code == code) {
                return code;
            }
        }
    }

    /// Returns the key of an approved login, and ends the login.
    pub(super) fn poll(
        &mut self,
        client: &str,
        device: &[u8; 32],
        now: i64,
    ) -> Result<SecretString, PollError> {
        self.remove_expired(now);
        let login = self.by_device.get_mut(device).ok_or(PollError::Gone)?;
        if login.client != client {
            return Err(PollError::OtherClient);
        }
        let due = login.polled + millis(login.interval.saturating_sub(POLL_TOLERANCE));
        login.polled = now;
        if now < due {
            login.interval += SLOWER_BY;
            return Err(PollError::TooSoon);
        }
        if let State::Waiting { .. } = login.state {
            return Err(PollError::Pending);
        }
        match self.by_device.remove(device).map(|login| login.state) {
            Some(State::Approved(key)) => Ok(key),
            _ => Err(PollError::Denied),
        }
    }

    /// Approves the login with this code. `code` is None if it is malformed, and `key` is None if it is not accepted.
    pub(super) fn verify(
        &mut self,
        code: Option<&UserCode>,
        key: Option<SecretString>,
        peer: Option<IpAddr>,
        now: i64,
    ) -> Result<(), VerifyError> {
        self.remove_expired(now);
        let of_peer = self.failures.iter().filter(|(_, failed)| *failed == peer);
        if of_peer.count() >= MAX_FAILURES_OF_PEER || self.failures.len() >= MAX_FAILURES {
            return Err(VerifyError::Peer);
        }
        let approved = self.approve(code, key);
        if approved.is_err() {
            self.failures.push_back((now, peer));
        }
        approved
    }

    fn approve(
        &mut self,
        code: Option<&UserCode>,
        key: Option<SecretString>,
    ) -> Result<(), VerifyError> {
        let code = code.ok_or(VerifyError::Code)?;
        let mut logins = self.by_device.values_mut();
        let login = logins.find(|login| login.user_code.is(code));
        let login = login.ok_or(VerifyError::Code)?;
        let State::Waiting { tries } = &mut login.state else {
            return Err(VerifyError::Code);
        };
        *tries -= 1;
        let last = *tries == 0;
        match key {
            Some(key) => login.state = State::Approved(key),
            None if last => {
                login.state = State::Denied;
                return Err(VerifyError::LastKey);
            }
            None => return Err(VerifyError::Key),
        }
        Ok(())
    }

    /// Removes the logins and the failures that are too old.
    pub(super) fn remove_expired(&mut self, now: i64) {
        let is_kept = |since: i64| now < since + millis(LIFETIME);
        self.by_device.retain(|_, login| is_kept(login.started));
        self.failures.retain(|(failed, _)| is_kept(*failed));
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).expect("no wait is that long")
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    const SECOND: i64 = 1000;
    const PEER: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
    const OTHER: Option<IpAddr> = None;

    /// One login of the device `a`, begun at 0.
    struct TestLogin {
        logins: PendingLogins,
        device: [u8; 32],
        code: UserCode,
    }

    impl TestLogin {
        fn start() -> Self {
            let mut logins = PendingLogins::default();
            let (device, code) = logins.start("a".to_owned(), PEER, 0).expect("room");
            Self {
                logins,
                device: DeviceCode::digest(device.expose()),
                code,
            }
        }

        fn poll(&mut self, at: i64) -> Result<String, PollError> {
            let key = self.logins.poll("a", &self.device, at);
            key.map(|key| key.expose_secret().to_owned())
        }

        fn verify(&mut self, key: Option<&str>, at: i64) -> Result<(), VerifyError> {
            let key = key.map(SecretString::from);
            self.logins.verify(Some(&self.code), key, PEER, at)
        }
    }

    #[test]
    fn a_key_is_returned_once() {
        let mut login = TestLogin::start();
        assert_eq!(login.poll(2 * SECOND), Err(PollError::Pending));
        assert_eq!(login.verify(Some("key"), 3 * SECOND), Ok(()));
        assert_eq!(
            login.verify(Some("key"), 3 * SECOND),
            Err(VerifyError::Code)
        );
        assert_eq!(login.poll(4 * SECOND), Ok("key".to_owned()));
        assert!(login.logins.by_device.is_empty());
        assert_eq!(login.poll(6 * SECOND), Err(PollError::Gone));
    }

    #[test]
    fn a_device_that_polls_too_soon_has_to_wait_longer() {
        let mut login = TestLogin::start();
        login.verify(Some("key"), 0).expect("it is accepted");
        assert_eq!(login.poll(SECOND), Err(PollError::TooSoon));
        assert_eq!(login.poll(7 * SECOND), Err(PollError::TooSoon));
        assert_eq!(login.poll(18 * SECOND), Err(PollError::TooSoon));
        assert_eq!(login.poll(35 * SECOND), Ok("key".to_owned()));
        let mut early = TestLogin::start();
        assert_eq!(early.poll(1_749), Err(PollError::TooSoon));
        let mut in_time = TestLogin::start();
        assert_eq!(in_time.poll(1_750), Err(PollError::Pending));
    }

    #[test]
    fn a_login_expires_with_its_key() {
        let lifetime = millis(LIFETIME);
        let mut login = TestLogin::start();
        assert_eq!(login.poll(lifetime - 1), Err(PollError::Pending));
        assert_eq!(login.verify(Some("key"), lifetime), Err(VerifyError::Code));
        assert_eq!(login.poll(lifetime), Err(PollError::Gone));
        let mut approved = TestLogin::start();
        approved
            .verify(Some("key"), lifetime - 1)
            .expect("accepted");
        approved.logins.remove_expired(lifetime);
        assert!(approved.logins.by_device.is_empty());
    }

    #[test]
    fn five_keys_may_be_tried() {
        let mut login = TestLogin::start();
        for _ in 1..5 {
            assert_eq!(login.verify(None, 0), Err(VerifyError::Key));
        }
        assert_eq!(login.verify(None, 0), Err(VerifyError::LastKey));
        assert_eq!(login.verify(Some("key"), 0), Err(VerifyError::Code));
        assert_eq!(login.poll(2 * SECOND), Err(PollError::Denied));
        assert_eq!(login.poll(4 * SECOND), Err(PollError::Gone));
        let mut fifth = TestLogin::start();
        for _ in 1..5 {
            assert_eq!(fifth.verify(None, 0), Err(VerifyError::Key));
        }
        assert_eq!(fifth.verify(Some("key"), 0), Ok(()));
    }

    #[test]
    fn only_the_device_that_began_may_have_the_key() {
        let mut login = TestLogin::start();
        login.verify(Some("key"), 0).expect("it is accepted");
        let other = login.logins.poll("b", &login.device, 2 * SECOND);
        assert_eq!(other.err(), Some(PollError::OtherClient));
        let unknown = login.logins.poll("a", &[0; 32], 2 * SECOND);
        assert_eq!(unknown.err(), Some(PollError::Gone));
        assert_eq!(login.poll(2 * SECOND), Ok("key".to_owned()));
    }

    #[test]
    fn logins_are_limited_per_address_and_in_total() {
        let mut logins = PendingLogins::default();
        let mut start = |peer, now| logins.start("a".to_owned(), peer, now).err();
        for _ in 0..MAX_LOGINS_OF_PEER {
            assert_eq!(start(PEER, 0), None);
        }
        assert_eq!(start(PEER, 0), Some(StartError::Peer));
        assert_eq!(start(OTHER, 0), None);
        assert_eq!(start(PEER, millis(LIFETIME)), None);
        let addresses = (0..).map(|n| Some(IpAddr::from(std::net::Ipv4Addr::from_bits(n))));
        for peer in addresses.take(MAX_LOGINS - 1) {
            assert_eq!(start(peer, millis(LIFETIME)), None);
        }
        assert_eq!(start(OTHER, millis(LIFETIME)), Some(StartError::All));
    }

    #[test]
    fn an_address_that_fails_too_often_has_to_wait() {
        let mut login = TestLogin::start();
        let wrong = "BCDF-GHJK".parse().ok().filter(|code| *code != login.code);
        for n in 0..MAX_FAILURES_OF_PEER {
            let code = wrong.as_ref().filter(|_| n % 2 == 0);
            let failed = login.logins.verify(code, Some("key".into()), PEER, 0);
            assert_eq!(failed, Err(VerifyError::Code));
        }
        assert_eq!(login.verify(Some("key"), 0), Err(VerifyError::Peer));
        let code = login.code.clone();
        let elsewhere = login
            .logins
            .verify(Some(&code), Some("key".into()), OTHER, 0);
        assert_eq!(elsewhere, Ok(()));
        let expired = login.verify(Some("key"), millis(LIFETIME));
        assert_eq!(expired, Err(VerifyError::Code));
    }
}
