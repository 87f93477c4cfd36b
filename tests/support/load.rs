//! Writers and readers whose every answer is checked against what they know they have written.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, IsolationLevel, NoTls, Statement, Transaction};

use crate::site::Site;
use crate::support::Dice;

/// Works through two proxies, one of which stands still now and then for longer than a lease, while `steps` are gone.
/// Says what was done.
pub(super) fn with(site: &Site, steps: impl FnOnce(&Shared)) -> String {
    site.through().run("INSERT INTO people (id, email) VALUES (999, 'hot@x')");
    let shared = Shared::default();
    std::thread::scope(|scope| {
        for number in 1..=6_u32 {
            let url = site.proxies[number as usize % 2].url(&site.database);
            let shared = &shared;
            scope.spawn(move || {
                let runtime = Builder::new_current_thread().enable_all().build().unwrap();
                // Told to stop, whatever becomes of this one.
                let _stop = Stop(shared);
                runtime.block_on(Worker::new(number, url).run(shared));
            });
        }
        let (process, shared) = (site.proxies[1].process(), &shared);
        scope.spawn(move || {
            let seconds = |n: f64| std::thread::sleep(Duration::from_secs_f64(n));
            for turn in 0.. {
                if shared.is_stopped() {
                    break;
                }
                seconds(1.1);
                process.signal("STOP");
                seconds([0.2, 1.7, 2.5, 0.6][turn % 4]);
                process.signal("CONT");
            }
        });
        let _stop = Stop(shared);
        steps(shared);
    });
    let hot = site.through().value("SELECT n::text FROM people WHERE id = 999").unwrap();
    assert_eq!(hot.parse::<u64>().unwrap(), shared.hot.load(Ordering::Relaxed), "no update is lost");
    let all = shared.transactions.load(Ordering::Relaxed);
    assert!(all > 500, "{all}");
    let cut = shared.cut.load(Ordering::Relaxed);
    format!("{all} transactions, tried again by level {:?}, {cut} sessions cut", shared.retries)
}

struct Stop<'a>(&'a Shared);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// What all workers share.
#[derive(Default)]
pub(super) struct Shared {
    stop: AtomicBool,
    /// Times that the row of all was counted up.
    hot: AtomicU64,
    transactions: AtomicU64,
    /// Transactions that were told to try again, by isolation level.
    retries: [AtomicU64; 3],
    /// Sessions that ended since their proxy had been stopped for too long.
    cut: AtomicU64,
}

/// A worker, its rows, and what they hold.
struct Worker {
    number: u32,
    dice: Dice,
    url: String,
    /// Persons by id: email, and the times that they were counted up.
    people: BTreeMap<i32, (String, i32)>,
    next: i32,
}

struct Session {
    client: Client,
    by_email: Statement,
    insert: Statement,
    change: Statement,
    upsert: Statement,
    join: Statement,
    list: Statement,
}

const LEVELS: [IsolationLevel; 3] =
    [IsolationLevel::ReadCommitted, IsolationLevel::RepeatableRead, IsolationLevel::Serializable];

impl Worker {
    fn new(number: u32, url: String) -> Self {
        let seed = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(u64::from(number) + 1);
        Self {
            number,
            dice: Dice(seed),
            url,
            people: BTreeMap::new(),
            next: i32::try_from(number).unwrap() * 1_000_000 + 1000,
        }
    }

    /// The id of the row that is joined to, and of its visit's number.
    fn joined(&self) -> i32 {
        i32::try_from(self.number).unwrap() + 2000
    }

    /// One of the emails that only this worker writes; few, so that values go and come again.
    fn email(&mut self) -> String {
        let which = self.dice.roll(60);
        format!("w{}-{which}@x", self.number)
    }

    async fn connect(&self) -> Result<Session, Error> {
        let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await?;
        tokio::spawn(connection);
        let prepare = |sql: &'static str| client.prepare(sql);
        Ok(Session {
            by_email: prepare("SELECT id, n FROM people WHERE email = $1").await?,
            insert: prepare("INSERT INTO people (id, email, code) VALUES ($1, $2, 1)").await?,
            change: prepare("UPDATE people SET email = $2 WHERE email = $1").await?,
            upsert: prepare(
                "INSERT INTO people (id, email) VALUES ($1, $2)
                 ON CONFLICT (email) DO UPDATE SET n = people.n + 1 RETURNING id",
            )
            .await?,
            join: prepare(
                "UPDATE people p SET n = p.n + 1 FROM visits v WHERE v.email = p.email AND v.n = $1",
            )
            .await?,
            list: prepare("SELECT id, email, n FROM people WHERE id = ANY($1)").await?,
            client,
        })
    }

    /// Works until it is told to stop.
    async fn run(&mut self, shared: &Shared) {
        let mut session = self.connect().await.expect("a session");
        // A row that others join to: this worker's own, by a number of its own.
        let (number, email) = (self.joined(), format!("w{}-joined@x", self.number));
        session
            .client
            .batch_execute(&format!(
                "INSERT INTO people (id, email) VALUES ({number}, '{email}');
                 INSERT INTO visits (email, n) VALUES ('{email}', {})",
                number + 10_000
            ))
            .await
            .expect("the joined row");
        self.people.insert(number, (email, 0));
        while !shared.stop.load(Ordering::Relaxed) {
            let level = usize::try_from(self.dice.roll(3)).unwrap();
            let before = self.people.clone();
            let kept = self.next;
            match self.transaction(&mut session, LEVELS[level], shared).await {
                Ok(()) => drop(shared.transactions.fetch_add(1, Ordering::Relaxed)),
                Err(error) => {
                    (self.people, self.next) = (before, kept);
                    match error.code() {
                        Some(&SqlState::T_R_SERIALIZATION_FAILURE) => {
                            shared.retries[level].fetch_add(1, Ordering::Relaxed);
                            assert!(level > 0, "{error:?}: at READ COMMITTED");
                        }
                        // The hot row and the others are taken in any order.
                        Some(&SqlState::T_R_DEADLOCK_DETECTED) => {}
                        _ if error.is_closed() || error.code() == Some(&SqlState::CONNECTION_FAILURE) => {
                            shared.cut.fetch_add(1, Ordering::Relaxed);
                            session = self.connect().await.expect("a session");
                        }
                        _ => panic!("worker {}: {error:?}", self.number),
                    }
                }
            }
        }
        self.check(&session).await;
    }

    async fn transaction(
        &mut self,
        session: &mut Session,
        level: IsolationLevel,
        shared: &Shared,
    ) -> Result<(), Error> {
        let Session { client, by_email, insert, change, upsert, join, list } = session;
        let transaction = client.build_transaction().isolation_level(level).start().await?;
        let mut hot = 0;
        for _ in 0..=self.dice.roll(3) {
            match self.dice.roll(9) {
                0 | 1 => self.insert(&transaction, insert).await?,
                2 => self.change(&transaction, change).await?,
                3 => self.find(&transaction, by_email).await?,
                4 => self.upsert(&transaction, upsert).await?,
                5 => {
                    let number = self.joined();
                    let changed = transaction.execute(&*join, &[&(number + 10_000)]).await?;
                    assert_eq!(changed, 1, "the joined row is found");
                    self.people.get_mut(&number).unwrap().1 += 1;
                }
                6 => self.delete(&transaction).await?,
                7 => {
                    let changed =
                        transaction.execute("UPDATE people SET n = n + 1 WHERE email = 'hot@x'", &[]).await?;
                    assert_eq!(changed, 1, "the row of all is found");
                    hot += 1;
                }
                _ => {
                    let ids: Vec<i32> = self.people.keys().copied().collect();
                    let rows = transaction.query(&*list, &[&ids]).await?;
                    let found: BTreeMap<i32, (String, i32)> =
                        rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect();
                    assert_eq!(found, self.people, "all rows are as they were written");
                }
            }
        }
        transaction.commit().await?;
        shared.hot.fetch_add(hot, Ordering::Relaxed);
        Ok(())
    }

    fn holder(&self, email: &str) -> Option<i32> {
        self.people.iter().find(|(_, (held, _))| held == email).map(|(id, _)| *id)
    }

    async fn insert(&mut self, transaction: &Transaction<'_>, insert: &Statement) -> Result<(), Error> {
        let email = self.email();
        if let Some(id) = self.holder(&email) {
            // In a savepoint, as the transaction goes on.
            transaction.batch_execute("SAVEPOINT s").await?;
            let error = transaction.execute(insert, &[&(id + 500_000), &email]).await;
            let error = error.expect_err("a duplicate");
            if error.code() != Some(&SqlState::UNIQUE_VIOLATION) {
                return Err(error);
            }
            return transaction.batch_execute("ROLLBACK TO s").await;
        }
        self.next += 1;
        let id = self.next;
        transaction.execute(insert, &[&id, &email]).await?;
        self.people.insert(id, (email, 0));
        Ok(())
    }

    async fn change(&mut self, transaction: &Transaction<'_>, change: &Statement) -> Result<(), Error> {
        let (from, to) = (self.email(), self.email());
        if self.holder(&to).is_some() && from != to {
            return Ok(());
        }
        let changed = transaction.execute(change, &[&from, &to]).await?;
        let holder = self.holder(&from);
        assert_eq!(changed, u64::from(holder.is_some()), "{from} is found where it is");
        if let Some(id) = holder {
            self.people.get_mut(&id).unwrap().0 = to;
        }
        Ok(())
    }

    async fn find(&mut self, transaction: &Transaction<'_>, by_email: &Statement) -> Result<(), Error> {
        let email = self.email();
        let rows = transaction.query(by_email, &[&email]).await?;
        let found: Vec<(i32, i32)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let known = self.holder(&email).map(|id| (id, self.people[&id].1));
        assert_eq!(found, known.into_iter().collect::<Vec<_>>(), "{email}");
        Ok(())
    }

    async fn upsert(&mut self, transaction: &Transaction<'_>, upsert: &Statement) -> Result<(), Error> {
        let email = self.email();
        self.next += 1;
        let id: i32 = transaction.query_one(upsert, &[&self.next, &email]).await?.get(0);
        match self.holder(&email) {
            Some(holder) => {
                assert_eq!(id, holder, "{email} conflicts with itself");
                self.people.get_mut(&id).unwrap().1 += 1;
            }
            None => {
                assert_eq!(id, self.next, "{email} is new");
                self.people.insert(id, (email, 0));
            }
        }
        Ok(())
    }

    /// A value that goes, and its child before it.
    async fn delete(&mut self, transaction: &Transaction<'_>) -> Result<(), Error> {
        let email = self.email();
        let Some(id) = self.holder(&email) else { return Ok(()) };
        transaction.execute(&format!("INSERT INTO logins (id, email) VALUES ({id}, '{email}')"), &[]).await?;
        let gone = transaction
            .execute(
                &format!("DELETE FROM logins l USING people p WHERE l.email = p.email AND p.id = {id}"),
                &[],
            )
            .await?;
        assert_eq!(gone, 1, "the child of {email} is found");
        let gone = transaction.execute("DELETE FROM people WHERE email = $1", &[&email]).await?;
        assert_eq!(gone, 1, "{email} is found");
        self.people.remove(&id);
        Ok(())
    }

    async fn check(&self, session: &Session) {
        let rows = session
            .client
            .query(
                "SELECT id, email, n FROM people WHERE id = $1 OR id BETWEEN $2 AND $2 + 999999",
                &[&self.joined(), &(i32::try_from(self.number).unwrap() * 1_000_000 + 1000)],
            )
            .await
            .expect("all rows");
        let found: BTreeMap<i32, (String, i32)> =
            rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect();
        assert_eq!(found, self.people, "worker {}", self.number);
    }
}
