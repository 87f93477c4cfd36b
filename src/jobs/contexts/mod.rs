//! Deterministic columns, whose values are compared by their ciphertexts: moved value by value.
//!
//! If equal plaintexts were under two keys at once, joins, groups and unique indexes would be wrong. So a *value* moves
//! at once, in all rows of all columns that share its context, in one transaction: at every snapshot equal plaintexts
//! have equal ciphertexts. Plaintext is one more form beside those under the versions of a key: a first encryption of a
//! column that stays text, and the way back, are the same move.
//!
//! | file | what |
//! |---|---|
//! | `pins` | what proxies are told |
//! | `announce` | waiting until all of them act by it |
//! | `objects` | functions and triggers that stand for the time |
//! | `preflight` | what cannot be moved |
//! | `batch` | values of one bucket, moved in one transaction |
//! | `checks` | the CHECK that only sealed values meet |
//!
//! A move goes through these steps, and each can be the last one before a crash; the next run goes on from there.
//!
//! 1. The pin says *moving*, and the objects are there. Proxies compare with both forms of a constant from then on.
//! 2. When all of them do: values move, batch by batch, walk by walk, until none is left.
//! 3. Under a lock that waits out writers the pin says *ending*; new values are stored in the new form.
//! 4. When no transaction is left whose snapshot is older, it says *new*; constants have one form again.
//! 5. When all proxies know: the objects go. The pin stays, for proxies that hold both versions.

pub(super) mod announce;
mod batch;
mod checks;
mod objects;
mod pins;
mod preflight;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Client;

pub use self::pins::{all as pins, work as work_of};
use self::preflight::Hindrance;
use super::connection::connect;
use super::record;
use super::runner::{Limits, Moved, Progress, settle};
use super::table::{Column, Table, tables};
use super::throttle::Throttle;
use super::value::Work;
use super::{JobError, doing, of_t, schema};
use crate::catalog::{Catalog, Class, Form, Phase, Pin, RelationKind, Storage};
use crate::crypto::{KeyId, Mode};
use crate::datum::Oid;
use crate::keyring::Keys;
use crate::policy::ColumnName;
use crate::sql::{OutputValue, Schema};

/// Into so many buckets the values of a context are spread.
const BUCKETS: u32 = 256;
/// Values of one transaction where a column has no index by which its rows are found: each reads the whole table.
const BATCH_WITHOUT_INDEX: u32 = 10_000;
/// How long a step that is no batch waits for a lock before it tries again.
const LOCK_WAIT: Duration = Duration::from_millis(200);
/// Pauses between two tries at a lock on the tables are up to so many times as long as the first.
const LONGEST_PAUSE: u32 = 16;
/// Tries at a lock on the tables before people are told.
const TRIES_BEFORE_WORDS: u32 = 20;

/// Columns whose values are compared with each other: one key, one context.
#[derive(Clone, Debug)]
pub struct Context {
    /// The name of the data key.
    pub key: String,
    /// What its values are bound to.
    pub context: String,
    storage: Storage,
    /// The tables that hold rows of it, with its columns only.
    tables: Vec<Table>,
    /// All columns that hold its values, those of views over them too: relation and number.
    members: Vec<(Oid, i16)>,
}

/// The contexts of the deterministic columns for which `is_meant` holds. All columns of a context belong to it, meant
/// or not.
pub fn contexts(
    schema: &Schema,
    catalog: &Catalog,
    is_meant: impl Fn(&ColumnName, &Class) -> bool,
) -> Vec<Context> {
    let mut found: BTreeMap<(String, String), (bool, Context)> = BTreeMap::new();
    for table in tables(schema, catalog, |_, class| class.binding.mode == Mode::Deterministic) {
        for column in table.columns {
            let class = &column.class;
            let (key, context) = (class.key.clone(), class.binding.context.clone());
            let (is_chosen, entry) = found.entry((key.clone(), context.clone())).or_insert_with(|| {
                (
                    false,
                    Context { key, context, storage: class.storage, tables: Vec::new(), members: Vec::new() },
                )
            });
            *is_chosen |= is_meant(&class.column, class);
            match entry.tables.last_mut().filter(|last| last.name == table.name) {
                Some(last) => last.columns.push(column),
                None => entry.tables.push(Table { name: table.name.clone(), columns: vec![column] }),
            }
        }
    }
    for relation in &catalog.relations {
        for attribute in &relation.columns {
            let (Some(OutputValue::Sealed(class)), place) =
                (schema.sealed_column(relation.oid, attribute.number), (relation.oid, attribute.number))
            else {
                continue;
            };
            if let Some((_, context)) = found.get_mut(&(class.key.clone(), class.binding.context.clone()))
                && class.binding.mode == Mode::Deterministic
            {
                context.members.push(place);
            }
        }
    }
    found.into_values().filter(|(is_chosen, _)| *is_chosen).map(|(_, context)| context).collect()
}

/// Moves the values of contexts: from one version of their key to the active one, from plaintext to that, or back.
pub struct Mover<'a> {
    /// How to come to the database, see [`connect`].
    pub database: &'a str,
    /// The contexts.
    pub contexts: Vec<Context>,
    /// The database's catalog.
    pub catalog: &'a Catalog,
    /// What opens and seals.
    pub keys: Arc<Keys>,
    /// What becomes of the values.
    pub work: Work,
    /// How fast.
    pub limits: Limits,
    /// As few rows are moved under the lock that ends a move; more are walked once more.
    pub left_for_the_end: u64,
    /// For how long a proxy may act by a catalog that it has read.
    pub lease: Duration,
}

/// What would be moved of a context.
#[derive(Clone, Debug)]
pub struct ContextEstimate {
    /// The context.
    pub context: String,
    /// Its columns.
    pub columns: Vec<ColumnName>,
    /// Values under other versions of the key than the active one, counted with their rows.
    pub rows: u64,
    /// What keeps it from being moved.
    pub hindrances: Vec<String>,
    /// Columns without an index that finds a value's rows.
    pub without_index: Vec<ColumnName>,
}

impl Mover<'_> {
    /// Counts what would be done, and changes nothing.
    ///
    /// # Errors
    /// The server refuses a query.
    pub async fn estimate(&self) -> Result<Vec<ContextEstimate>, JobError> {
        let client = connect(self.database).await?;
        let mut estimates = Vec::new();
        for context in &self.contexts {
            let aim = self.aim(context)?;
            let is_meant = |form: &Form| match (self.work, form) {
                (Work::Rotate, Form::Plaintext) => false,
                (Work::Rotate | Work::Encrypt | Work::Decrypt, form) => *form != aim,
            };
            let forms = context.forms(&client).await?;
            let rows = forms.iter().filter(|(form, _)| is_meant(form)).map(|(_, count)| count).sum();
            estimates.push(ContextEstimate {
                context: context.context.clone(),
                columns: context.columns().collect(),
                rows,
                hindrances: self.hindrances(context).iter().map(ToString::to_string).collect(),
                without_index: preflight::without_index(context, self.catalog),
            });
        }
        Ok(estimates)
    }

    /// Moves every value, and tells `progress` after each batch.
    ///
    /// # Errors
    /// A context cannot be moved, another job works on it, or the server refuses a statement. What was moved stays
    /// moved, and the next run goes on from there.
    pub async fn run(&self, progress: &(dyn Fn(Progress<'_>) + Sync)) -> Result<Moved, JobError> {
        let mut moved = Moved::default();
        for context in &self.contexts {
            self.context(context, progress, &mut moved).await?;
        }
        Ok(moved)
    }

    /// Says in the database in which form the values are before the first proxy has to know: those that run under
    /// another policy do not ask.
    ///
    /// # Errors
    /// As of [`Self::run`].
    pub async fn prepare(&self) -> Result<(), JobError> {
        for context in &self.contexts {
            let mut client = self.alone(context).await?;
            self.fit(context)?;
            if let Some(pin) = self.pin(&mut client, context).await? {
                self.unhindered(context, &pin)?;
            }
            unlock(&client).await?;
        }
        Ok(())
    }

    /// Refuses a move that something stands in the way of.
    fn unhindered(&self, context: &Context, pin: &Pin) -> Result<(), JobError> {
        let hindrances = self.hindrances(context);
        if matches!(pin.phase, Phase::Old | Phase::Moving) && !hindrances.is_empty() {
            return Err(JobError::Hindered(context.context.clone(), preflight::list(&hindrances)));
        }
        Ok(())
    }

    /// A connection that keeps other jobs from a context.
    async fn alone(&self, context: &Context) -> Result<Client, JobError> {
        let client = settled(self.database, self.limits.lock_wait).await?;
        context.lock(&client).await?;
        Ok(client)
    }

    /// Refuses columns that this work is not for.
    fn fit(&self, context: &Context) -> Result<(), JobError> {
        if self.work == Work::Rotate {
            return Ok(());
        }
        for column in context.tables.iter().flat_map(|table| &table.columns) {
            let why = match (column.class.is_between(), context.storage) {
                (true, Storage::Text) => continue,
                (false, _) => {
                    "is not state = \"migrating\" in the policy: say so, and let every proxy read it again"
                }
                (true, Storage::Bytea) => {
                    "is of type bytea: only columns that stay text can be moved by this command"
                }
            };
            return Err(JobError::Unfit { column: column.class.column.clone(), why });
        }
        Ok(())
    }

    async fn context(
        &self,
        context: &Context,
        progress: &(dyn Fn(Progress<'_>) + Sync),
        moved: &mut Moved,
    ) -> Result<(), JobError> {
        let mut client = self.alone(context).await?;
        self.fit(context)?;
        let throttle = Throttle::begin(&self.limits, &client).await?;
        let Some(pin) = self.pin(&mut client, context).await? else {
            return self.strays(&mut client, context, moved).await;
        };
        self.unhindered(context, &pin)?;
        let pin = match pin.phase {
            Phase::Old => self.begin(&mut client, context, &pin).await?,
            Phase::Moving => {
                tracing::info!(context = context.context, "goes on with a move that was cut off");
                self.renew(&mut client, context, &pin).await?;
                self.heard(&client).await?;
                pin
            }
            Phase::Ending | Phase::New => pin,
        };
        let pin = match pin.phase {
            Phase::Moving => {
                batch::all(self, &mut client, context, &pin, &throttle, progress, moved).await?;
                let (pin, rows) = self.end(&mut client, context, &pin).await?;
                moved.rows += rows;
                pin
            }
            Phase::Old | Phase::Ending | Phase::New => pin,
        };
        let pin = match pin.phase {
            // Snapshots from before the end have rows in both forms.
            Phase::Ending => {
                announce::older_gone(&client).await?;
                pins::turn(&client, &pin, Phase::New).await?
            }
            Phase::Old | Phase::Moving | Phase::New => pin,
        };
        if has_objects(&client, &pin).await? {
            announce::heard(&client, self.lease).await?;
            let mut sql = objects::drop(context, &pin);
            if self.work == Work::Encrypt {
                sql += &checks::add(context, self.catalog);
            }
            self.locked(&mut client, context, &sql, (&pin, Phase::New)).await?;
        }
        if self.work == Work::Encrypt {
            checks::validate(&client, context).await?;
        }
        self.strays(&mut client, context, moved).await
    }

    /// Moves values that are under another version than the one under which all are said to be, as from a backup that was
    /// restored around the proxies. Until then no comparison finds them, so nothing is gained by small steps: they move in
    /// one transaction, while nobody writes.
    async fn strays(
        &self,
        client: &mut Client,
        context: &Context,
        moved: &mut Moved,
    ) -> Result<(), JobError> {
        if self.work != Work::Rotate {
            return Ok(());
        }
        let Some(pin) = pins::find(client, context).await?.filter(|pin| pin.phase == Phase::New) else {
            return Ok(());
        };
        let is_stray = |form: &Form| *form != pin.new && *form != Form::Plaintext;
        let forms = context.forms(client).await?;
        for old in forms.into_keys().filter(is_stray) {
            tracing::warn!(
                context = context.context,
                "values under another version, as from a backup, are moved while nobody writes"
            );
            let stray = Pin { phase: Phase::Moving, old, ..pin.clone() };
            let sql = format!("DELETE FROM pgseal.map_{}", pin.number);
            let (_, rows) = self.locked(client, context, &sql, (&stray, Phase::New)).await?;
            moved.rows += rows;
        }
        Ok(())
    }

    /// The pin of the move that is to be carried out; `None` if there is nothing to do.
    async fn pin(&self, client: &mut Client, context: &Context) -> Result<Option<Pin>, JobError> {
        let aim = self.aim(context)?;
        let Some(pin) = pins::find(client, context).await? else {
            return match self.work {
                Work::Rotate => self.found(client, context).await,
                Work::Encrypt | Work::Decrypt => self.found_by_rows(client, context).await,
            };
        };
        // A rotation goes by the beginnings of values, the others by what the pin says of all of them.
        let is_of_all = self.work == Work::Rotate
            || context.policy_columns().iter().all(|column| pin.columns.contains(column));
        if is_of_all && pin.new == aim && pins::work(&pin) == self.work {
            return Ok(Some(pin));
        }
        let is_under_way = match pin.phase {
            Phase::Old => false,
            Phase::Moving | Phase::Ending => true,
            Phase::New => has_objects(client, &pin).await?,
        };
        if is_under_way {
            return Err(unfinished(context, &pin));
        }
        if !is_of_all {
            return self.found_by_rows(client, context).await;
        }
        // Nothing has moved yet, or all has.
        let held = pin.stores();
        match (self.work, held) {
            (_, held) if held == aim => Ok(None),
            (Work::Rotate, Form::Plaintext) | (Work::Encrypt, Form::Sealed(_)) => Ok(None),
            (Work::Rotate, Form::Sealed(_)) => Err(unfinished(context, &pin)),
            (Work::Encrypt, Form::Plaintext) | (Work::Decrypt, _) => {
                pins::set(client, context, (held, aim), Phase::Old).await.map(Some)
            }
        }
    }

    /// The pin of a context that has none although its key was promoted: what its rows say.
    async fn found(&self, client: &mut Client, context: &Context) -> Result<Option<Pin>, JobError> {
        // What may be plaintext is not told by one version that retires.
        if !self.keys.is_retiring(&context.key) || context.is_between() {
            return Ok(None);
        }
        let active = self.aim(context)?;
        let forms = context.forms(client).await?;
        let is_other = |form: &Form| *form != Form::Plaintext && *form != active;
        let others: Vec<Form> = forms.keys().copied().filter(is_other).collect();
        match (others.as_slice(), forms.contains_key(&active)) {
            // Nobody has moved anything, and there is nothing to move.
            ([], _) => {
                let retiring =
                    self.keys.iter().find(|key| key.name == context.key && Form::Sealed(key.id()) != active);
                let old = retiring.map_or(active, |key| Form::Sealed(key.id()));
                pins::set(client, context, (old, active), Phase::New).await.map(Some)
            }
            ([old], false) => {
                let pin = pins::set(client, context, (*old, active), Phase::Old).await?;
                announce::heard(client, self.lease).await?;
                Ok(Some(pin))
            }
            _ => Err(JobError::Mixed(context.context.clone())),
        }
    }

    /// The pin of a context that is to be encrypted or decrypted: while it has none, proxies under a policy that says
    /// so store nothing in it.
    async fn found_by_rows(&self, client: &mut Client, context: &Context) -> Result<Option<Pin>, JobError> {
        let active = Form::Sealed(self.active(context)?);
        let forms: Vec<Form> = context.forms(client).await?.into_keys().collect();
        let (old, new, phase) = match (self.work, forms.as_slice()) {
            (Work::Encrypt, [] | [Form::Plaintext]) => (Form::Plaintext, active, Phase::Old),
            (Work::Encrypt, [sealed]) => (Form::Plaintext, *sealed, Phase::New),
            (_, []) => (active, Form::Plaintext, Phase::Old),
            (_, [Form::Plaintext]) => (active, Form::Plaintext, Phase::New),
            (_, [sealed]) => (*sealed, Form::Plaintext, Phase::Old),
            (_, [_, _, ..]) => return Err(JobError::Mixed(context.context.clone())),
        };
        pins::set(client, context, (old, new), phase).await.map(Some)
    }

    /// Makes the objects and announces the move.
    async fn begin(&self, client: &mut Client, context: &Context, pin: &Pin) -> Result<Pin, JobError> {
        let mut sql = objects::make(context, pin, self.catalog);
        match self.work {
            Work::Rotate => {}
            Work::Encrypt => preflight::plaintext(client, context).await?,
            Work::Decrypt => sql += &checks::remove(context, self.catalog),
        }
        let (pin, _) = self.locked(client, context, &sql, (pin, Phase::Moving)).await?;
        self.heard(client).await?;
        Ok(pin)
    }

    /// Waits until all statements compare with both forms, those of cursors that lock the rows which they come to too.
    async fn heard(&self, client: &Client) -> Result<(), JobError> {
        announce::heard(client, self.lease).await?;
        announce::older_gone(client).await
    }

    /// Fits the triggers of a move that was cut off to the tables as they are now: partitions and children may have come,
    /// and columns have gone.
    async fn renew(&self, client: &mut Client, context: &Context, pin: &Pin) -> Result<(), JobError> {
        let rows = client
            .query(
                "SELECT tgrelid FROM pg_catalog.pg_trigger WHERE tgname = $1::text",
                &[&objects::trigger_name(pin)],
            )
            .await
            .map_err(doing("does not show its triggers"))?;
        let there: BTreeSet<Oid> = rows.iter().map(|row| row.get(0)).collect();
        let functions: String =
            context.tables.iter().map(|table| objects::function(table, pin, self.catalog)).collect();
        let is_missing = |table: &&Table| {
            let relation = self.catalog.relations.iter().find(|relation| relation.name == table.name);
            relation.is_some_and(|relation| !there.contains(&relation.oid))
        };
        let missing = context.tables.iter().filter(is_missing);
        let triggers: String = missing.map(|table| objects::trigger(table, pin, self.catalog)).collect();
        if triggers.is_empty() {
            return client.batch_execute(&functions).await.map_err(doing("does not renew its functions"));
        }
        self.locked(client, context, &(functions + &triggers), (pin, Phase::Moving)).await.map(drop)
    }

    /// Moves what is left, and ends the move, while nobody writes.
    async fn end(&self, client: &mut Client, context: &Context, pin: &Pin) -> Result<(Pin, u64), JobError> {
        let number = pin.number;
        let sql = format!("UPDATE pgseal.bucket_{number} SET batches = batches + 1");
        self.locked(client, context, &sql, (pin, Phase::Ending)).await
    }

    /// Does something to a context in one transaction while nobody writes to its tables, and says its phase, and in how
    /// many rows it has moved values. Waits for writers no longer than the limits say, and tries again.
    async fn locked(
        &self,
        client: &mut Client,
        context: &Context,
        sql: &str,
        (pin, phase): (&Pin, Phase),
    ) -> Result<(Pin, u64), JobError> {
        let refused = || doing("refuses a step of the move");
        // Partitioned tables come first, as they do to writers: who waits there has not looked at the map yet.
        let is_above = |relation: &&crate::catalog::Relation| {
            relation.kind == RelationKind::PartitionedTable
                && !preflight::columns_of(context, relation).is_empty()
        };
        let above = self.catalog.relations.iter().filter(is_above).map(|relation| &relation.name);
        let tables = context.tables.iter().map(|table| &table.name);
        let names: Vec<String> = above.chain(tables).map(ToString::to_string).collect();
        let lock = format!("LOCK TABLE ONLY {} IN SHARE ROW EXCLUSIVE MODE", names.join(", ONLY "));
        for attempt in 1_u32.. {
            let transaction = client.transaction().await.map_err(refused())?;
            match transaction.batch_execute(&lock).await {
                Ok(()) => {}
                Err(error) if batch::gives_way(&error) => {
                    drop(transaction);
                    if attempt.is_multiple_of(TRIES_BEFORE_WORDS) {
                        tracing::warn!(attempt, "writers do not leave the tables");
                    }
                    tokio::time::sleep(pause(attempt)).await;
                    continue;
                }
                Err(error) => return Err(refused()(error)),
            }
            if pin.phase != phase {
                context.is_whole(&transaction).await?;
            }
            let mut rows = 0;
            if pin.phase == Phase::Moving
                && phase != Phase::Moving
                && let left = context.left(&transaction, pin.old).await?
                && left > 0
            {
                // Under the lock: a handful, which came between the last walk and now.
                rows = batch::rest(self, &transaction, context, pin).await?;
            }
            match transaction.batch_execute(sql).await {
                Ok(()) => {}
                Err(error) if batch::gives_way(&error) => {
                    drop(transaction);
                    tokio::time::sleep(pause(attempt)).await;
                    continue;
                }
                Err(error) => return Err(refused()(error)),
            }
            let pin = pins::turn(&transaction, pin, phase).await?;
            transaction.commit().await.map_err(refused())?;
            return Ok((pin, rows));
        }
        Err(JobError::Worker)
    }

    fn hindrances(&self, context: &Context) -> Vec<Hindrance> {
        preflight::hindrances(context, self.catalog)
    }

    /// The form that values are moved to.
    fn aim(&self, context: &Context) -> Result<Form, JobError> {
        match self.work {
            Work::Rotate | Work::Encrypt => self.active(context).map(Form::Sealed),
            Work::Decrypt => Ok(Form::Plaintext),
        }
    }

    fn active(&self, context: &Context) -> Result<KeyId, JobError> {
        self.keys.active(&context.key).ok_or_else(|| JobError::NoActiveKey(context.key.clone()))
    }
}

/// A promotion that is about to be carried out.
#[derive(Clone, Copy, Debug)]
pub struct Promotion {
    /// The version that seals now.
    pub active: KeyId,
    /// The one that will.
    pub next: KeyId,
    /// Another version retires already.
    pub is_retiring: bool,
}

/// Pins contexts under the version of their key that is active, before another is promoted in its place, and waits until
/// every proxy goes by that.
///
/// # Errors
/// A context is still between two versions, or the server refuses a statement.
pub async fn hold(
    database: &str,
    contexts: &[Context],
    promotion: Promotion,
    lease: Duration,
) -> Result<(), JobError> {
    let Promotion { active, next, is_retiring } = promotion;
    let mut client = settled(database, LOCK_WAIT).await?;
    // All of them are looked at before the first is changed.
    let mut changes = Vec::new();
    for context in contexts {
        context.lock(&client).await?;
        if let Some(column) = context.columns().next().filter(|_| context.is_between()) {
            let why = "is state = \"migrating\" in the policy: bring that to its end first";
            return Err(JobError::Unfit { column, why });
        }
        let (sealed, to) = (Form::Sealed(active), Form::Sealed(next));
        let phase = match pins::find(&client, context).await? {
            Some(pin) if pin.phase == Phase::New && pin.new == sealed => {
                if has_objects(&client, &pin).await? {
                    return Err(unfinished(context, &pin));
                }
                Phase::Old
            }
            Some(pin) if pin.phase == Phase::Old && pin.old == sealed => match pin.new == to {
                true => continue,
                false => Phase::Old,
            },
            // It was promoted, and is taken back before anything has moved.
            Some(pin) if pin.phase == Phase::Old && pin.old == to => Phase::New,
            None if !is_retiring => Phase::Old,
            Some(pin) => return Err(unfinished(context, &pin)),
            None => {
                return Err(JobError::Unfinished { context: context.context.clone(), work: Work::Rotate });
            }
        };
        changes.push((context, phase));
    }
    for (context, phase) in &changes {
        let forms = (Form::Sealed(active), Form::Sealed(next));
        pins::set(&mut client, context, forms, *phase).await?;
    }
    unlock(&client).await?;
    let has_changed = changes.iter().any(|(_, phase)| *phase == Phase::Old);
    if has_changed {
        announce::found(&client, lease).await?;
    }
    Ok(())
}

/// Pins contexts that have no pin under the active version of their key, before proxies hold another one as well, and
/// waits until every proxy goes by that.
///
/// # Errors
/// The server refuses a statement.
pub async fn keep(
    database: &str,
    contexts: &[Context],
    active: KeyId,
    other: KeyId,
    lease: Duration,
) -> Result<(), JobError> {
    let mut client = settled(database, LOCK_WAIT).await?;
    let mut has_changed = false;
    // Of what may be plaintext, the active version says nothing.
    for context in contexts.iter().filter(|context| !context.is_between()) {
        context.lock(&client).await?;
        if pins::find(&client, context).await?.is_none() {
            let forms = (Form::Sealed(other), Form::Sealed(active));
            pins::set(&mut client, context, forms, Phase::New).await?;
            has_changed = true;
        }
    }
    unlock(&client).await?;
    if has_changed {
        announce::found(&client, lease).await?;
    }
    Ok(())
}

/// Refuses while proxies need a version of a key for constants: no row may be under it, and a snapshot still be open in
/// which rows are, or the move to another version not have begun.
///
/// # Errors
/// As said, or the server refuses a statement.
pub async fn unneeded(database: &str, contexts: &[Context], version: KeyId) -> Result<(), JobError> {
    let client = settled(database, LOCK_WAIT).await?;
    for context in contexts {
        if let Some(pin) = pins::find(&client, context).await?
            && pin.needs(Form::Sealed(version))
        {
            return Err(unfinished(context, &pin));
        }
    }
    Ok(())
}

/// Takes pins away whose moves have ended, once no proxy knows more than one version of their key.
///
/// # Errors
/// The server refuses a statement.
pub async fn release(database: &str, key: &str) -> Result<(), JobError> {
    let mut client = settled(database, LOCK_WAIT).await?;
    // That of a first encryption stays: without it a proxy would not know what rows hold, if the policy still says
    // that they may be plaintext.
    let ended = |pin: &Pin| pin.key == key && pin.phase == Phase::New && pins::work(pin) == Work::Rotate;
    for pin in pins::all(&client).await?.iter().filter(|pin| ended(pin)) {
        if !has_objects(&client, pin).await? {
            pins::remove(&mut client, pin).await?;
        }
    }
    Ok(())
}

impl Context {
    /// Its columns, by the names of the tables that hold their rows.
    pub fn columns(&self) -> impl Iterator<Item = ColumnName> {
        self.tables.iter().flat_map(|table| table.columns.iter().map(|column| table.column_name(column)))
    }

    /// Its columns as the policy names them.
    fn policy_columns(&self) -> BTreeSet<String> {
        let columns = self.tables.iter().flat_map(|table| &table.columns);
        columns.map(|column| column.class.column.to_string()).collect()
    }

    /// Whether its values may be plaintext.
    fn is_between(&self) -> bool {
        self.tables.iter().flat_map(|table| &table.columns).any(|column| column.class.is_between())
    }

    /// Keeps other jobs from it, and commands that pin it.
    async fn lock(&self, client: &Client) -> Result<(), JobError> {
        for column in self.columns() {
            record::lock(client, &column).await?;
        }
        Ok(())
    }

    /// Refuses to go on where a partition or child has come of which this command knows nothing.
    async fn is_whole(&self, client: &impl tokio_postgres::GenericClient) -> Result<(), JobError> {
        let known: Vec<Oid> = self.members.iter().map(|(oid, _)| *oid).collect();
        let others = client
            .query(
                "SELECT inhrelid::pg_catalog.regclass::text FROM pg_catalog.pg_inherits
                 WHERE inhparent = ANY ($1) AND inhrelid <> ALL ($1)",
                &[&known],
            )
            .await
            .map_err(doing("does not show the partitions of its tables"))?;
        let Some(other) = others.first() else { return Ok(()) };
        Err(JobError::Joined { context: self.context.clone(), table: other.get(0) })
    }

    /// Rows of each form. Reads the columns whole.
    async fn forms(&self, client: &Client) -> Result<BTreeMap<Form, u64>, JobError> {
        let mut forms = BTreeMap::new();
        for table in &self.tables {
            for column in &table.columns {
                let counted =
                    super::status::by_form(client, &table.name, &column.name, &column.class).await?;
                for (form, count) in counted {
                    *forms.entry(form).or_default() += count;
                }
            }
        }
        Ok(forms)
    }

    /// Rows that are left in a form.
    async fn left(&self, client: &impl tokio_postgres::GenericClient, old: Form) -> Result<u64, JobError> {
        let mut left = 0;
        for table in &self.tables {
            let sql = format!(
                "SELECT pg_catalog.count(*) FROM ONLY {} t WHERE {}",
                table.name,
                self.condition(table, old)
            );
            let row = client.query_one(&sql, &[]).await.map_err(doing("does not count rows"))?;
            left += u64::try_from(row.get::<_, i64>(0)).unwrap_or_default();
        }
        Ok(left)
    }

    /// The condition on table `t` that a row has a value in a form.
    fn condition(&self, table: &Table, form: Form) -> String {
        let of = |column: &Column| objects::is_in(self.storage, &of_t(&column.name), form);
        table.columns.iter().map(of).collect::<Vec<_>>().join(" OR ")
    }
}

/// The second key of a move's advisory locks: of statements that join its columns, and behind it of its buckets.
fn lock_key(pin: u32, bucket: u32) -> String {
    (u64::from(pin) * crate::sql::LOCKS_OF_A_MOVE + u64::from(bucket)).to_string()
}

fn unfinished(context: &Context, pin: &Pin) -> JobError {
    JobError::Unfinished { context: context.context.clone(), work: pins::work(pin) }
}

/// A session that is dropped may hold its locks when the next one asks for them.
async fn unlock(client: &Client) -> Result<(), JobError> {
    let sql = "SELECT pg_catalog.pg_advisory_unlock_all()";
    client.batch_execute(sql).await.map_err(doing("does not unlock a context"))
}

/// Others wait behind whoever waits for a table's lock: the longer it takes, the more seldom it is tried.
fn pause(attempt: u32) -> Duration {
    batch::pause() * attempt.min(LONGEST_PAUSE)
}

async fn settled(database: &str, lock_wait: Duration) -> Result<Client, JobError> {
    let client = connect(database).await?;
    settle(&client, lock_wait).await?;
    Ok(client)
}

/// Whether the objects of a pin's move are there.
async fn has_objects(client: &Client, pin: &Pin) -> Result<bool, JobError> {
    let name = format!("pgseal.bucket_{}", pin.number);
    schema::exists(client, &name, "does not tell what a move has left").await
}
