//! Types of expressions, and how they become known.
//!
//! Constants and parameters start as variables; what they meet binds them. Two expressions meet by a
//! [`Meeting`], which says what the server will do with them, so that a ciphertext only meets what its mode
//! gives a meaning to.

use std::sync::Arc;

use super::refusal::Reason;
use super::typename::{BPCHAR, TEXT as TEXT_OID, VARCHAR};
use crate::catalog::Class;
use crate::crypto::Mode;
use crate::datum::{Base, Oid, Type};

/// A variable's number.
pub(super) type Var = usize;

/// The type of an expression, as far as encryption goes.
#[derive(Clone, Debug)]
pub(super) enum Ty {
    /// Not encrypted.
    Plain,
    /// A value of an encrypted column.
    Sealed(Arc<Class>),
    /// An array whose elements are of this type.
    Array(Box<Ty>),
    /// Not known yet.
    Var(Var),
    /// A row of values that is only compared with another: `(a, b) = ($1, $2)`.
    Row(Vec<Ty>),
}

/// What happens where two expressions meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meeting {
    /// They are compared by equality.
    Equality,
    /// They are compared by order.
    Order,
    /// They become one column or one result: CASE, COALESCE, VALUES, set operations.
    Merge,
    /// The right one is stored in the left one.
    Store,
}

/// Variables and what is known of them.
#[derive(Debug, Default)]
pub(super) struct Inference {
    cells: Vec<Cell>,
    /// Classes whose columns are compared with each other while their values are moved.
    pub(super) joined: Vec<Arc<Class>>,
}

#[derive(Debug, Default)]
struct Cell {
    parent: Option<Var>,
    bound: Option<Ty>,
    /// The value is stored, or handed on, so it has to be a value of the column's type.
    stored: bool,
    /// It stands beside an encrypted column in CASE, COALESCE, UNION ...: PostgreSQL finds one type for both.
    beside_column: bool,
    /// The same, and it stands first: of two types that can be cast to each other its own is taken.
    leads_column: bool,
    /// PostgreSQL has decided that what is unknown here is text.
    text: bool,
    /// It holds a constant of another type than text.
    typed: bool,
    /// It was text before it met one.
    text_for_good: bool,
    /// It holds a varchar.
    varchar: bool,
    /// Then it did, which PostgreSQL refuses.
    mismatched: bool,
    /// It was compared with something else that was not known.
    compared: bool,
    /// It was compared with an encrypted column.
    sought: bool,
    /// The parameter that it stands for.
    parameter: Option<usize>,
}

impl Inference {
    /// A new variable.
    pub(super) fn fresh(&mut self) -> Ty {
        self.fresh_for(None)
    }

    /// A new variable for a parameter.
    pub(super) fn fresh_for(&mut self, parameter: Option<usize>) -> Ty {
        self.cells.push(Cell { parameter, ..Cell::default() });
        Ty::Var(self.cells.len() - 1)
    }

    /// What is known of a type by now.
    pub(super) fn resolve(&self, ty: &Ty) -> Ty {
        match ty {
            Ty::Var(var) => {
                let root = self.root(*var);
                match self.cells.get(root).and_then(|cell| cell.bound.as_ref()) {
                    Some(bound) => self.resolve(bound),
                    None => Ty::Var(root),
                }
            }
            Ty::Array(element) => match self.resolve(element) {
                Ty::Plain => Ty::Plain,
                element => Ty::Array(Box::new(element)),
            },
            Ty::Row(items) => Ty::Row(items.iter().map(|item| self.resolve(item)).collect()),
            Ty::Plain | Ty::Sealed(_) => ty.clone(),
        }
    }

    /// The variable that stands for all that were united with this one.
    pub(super) fn root(&self, var: Var) -> Var {
        let mut at = var;
        while let Some(parent) = self.cells.get(at).and_then(|cell| cell.parent) {
            at = parent;
        }
        at
    }

    /// Whether a variable's value, or an element of it, is stored.
    pub(super) fn is_stored(&self, var: Var) -> bool {
        let Some(cell) = self.cells.get(self.root(var)) else { return false };
        cell.stored
            || match &cell.bound {
                Some(Ty::Array(element)) => matches!(**element, Ty::Var(element) if self.is_stored(element)),
                Some(Ty::Var(bound)) => self.is_stored(*bound),
                Some(Ty::Plain | Ty::Sealed(_) | Ty::Row(_)) | None => false,
            }
    }

    /// Whether what is unknown in a variable's group has become text.
    pub(super) fn is_text(&self, var: Var) -> bool {
        self.cells.get(self.root(var)).is_some_and(|cell| cell.text)
    }

    /// Whether a variable's value becomes one column or result with an encrypted column.
    pub(super) fn is_beside_column(&self, var: Var) -> bool {
        self.cells.get(self.root(var)).is_some_and(|cell| cell.beside_column)
    }

    /// Whether it also stands before that column.
    pub(super) fn leads_column(&self, var: Var) -> bool {
        self.cells.get(self.root(var)).is_some_and(|cell| cell.leads_column)
    }

    /// Says that a constant has a type of its own.
    pub(super) fn note_type(&mut self, var: Var, oid: Oid) {
        let root = self.root(var);
        let is_text = matches!(oid, TEXT_OID | VARCHAR | BPCHAR);
        if let Some(cell) = self.cells.get_mut(root) {
            cell.typed |= !is_text;
            cell.text_for_good |= is_text;
            cell.varchar |= oid == VARCHAR;
        }
    }

    /// Whether what had become text met a constant of another type.
    pub(super) fn is_mismatched(&self, var: Var) -> bool {
        self.cells.get(self.root(var)).is_some_and(|cell| cell.mismatched)
    }

    /// Whether members of a variable's group are compared with each other.
    pub(super) fn is_compared(&self, var: Var) -> bool {
        self.cells.get(self.root(var)).is_some_and(|cell| cell.compared)
    }

    /// Whether an encrypted column is compared with it.
    pub(super) fn is_sought(&self, var: Var) -> bool {
        self.cells.get(self.root(var)).is_some_and(|cell| cell.sought)
    }

    /// Binds a variable that is not known yet, with what is known of how another one is used.
    pub(super) fn adopt(&mut self, var: Var, like: Var, ty: Ty) {
        let (root, like) = (self.root(var), self.root(like));
        let Some(other) = self.cells.get(like) else { return };
        let (stored, beside, leads) = (other.stored, other.beside_column, other.leads_column);
        if let Some(cell) = self.cells.get_mut(root) {
            cell.stored |= stored;
            cell.beside_column |= beside;
            cell.leads_column |= leads;
            cell.bound = Some(ty);
        }
    }

    /// PostgreSQL reads what is still unknown in the output of a subquery as text.
    pub(super) fn settle_as_text(&mut self, ty: &Ty) {
        if let Ty::Var(var) = self.resolve(ty)
            && let Some(cell) = self.cells.get_mut(var)
        {
            cell.text = true;
            cell.text_for_good |= !cell.typed;
        }
    }

    /// Brings two expressions together; gives what they are now. `construct` is named in the refusal.
    pub(super) fn meet(
        &mut self,
        left: &Ty,
        right: &Ty,
        how: Meeting,
        construct: &str,
    ) -> Result<Ty, Box<Reason>> {
        let hands_on = how == Meeting::Merge && (self.is_sealed(left) || self.is_sealed(right));
        if how == Meeting::Store || hands_on {
            self.mark_stored(left);
            self.mark_stored(right);
        }
        if hands_on {
            for (side, leads) in [(left, true), (right, false)] {
                if let Ty::Var(var) = side
                    && let root = self.root(*var)
                    && let Some(cell) = self.cells.get_mut(root)
                {
                    cell.beside_column = true;
                    cell.leads_column |= leads;
                }
            }
        }
        if matches!(how, Meeting::Equality | Meeting::Order) {
            for (side, other) in [(left, right), (right, left)] {
                if let Ty::Var(var) = side
                    && self.is_sealed(other)
                    && let root = self.root(*var)
                    && let Some(cell) = self.cells.get_mut(root)
                {
                    cell.sought = true;
                }
            }
        }
        let parameter = self.parameter(left).or_else(|| self.parameter(right));
        let (was_var, constant) = (matches!(left, Ty::Var(_)), matches!(right, Ty::Var(_)));
        match (self.resolve(left), self.resolve(right)) {
            (Ty::Var(a), Ty::Var(b)) => {
                self.unite(a, b);
                if matches!(how, Meeting::Equality | Meeting::Order)
                    && let Some(cell) = self.cells.get_mut(a)
                {
                    // Neither has a type, so PostgreSQL compares them as text.
                    (cell.compared, cell.text) = (true, true);
                    cell.text_for_good |= !cell.typed;
                }
                Ok(Ty::Var(a))
            }
            (Ty::Var(var), known) => {
                let leads = self.cells.get(var).is_some_and(|cell| cell.text_for_good && !cell.varchar);
                let known = self.bind_known(var, known, how, construct)?;
                // Of two types that can be cast to each other, the first one's is that of both.
                Ok(if leads && how == Meeting::Merge { as_text(known) } else { known })
            }
            (known, Ty::Var(var)) => self.bind_known(var, known, how, construct),
            (Ty::Plain, Ty::Plain) => Ok(Ty::Plain),
            (Ty::Sealed(a), Ty::Sealed(b)) => {
                if (was_var || constant) && a.ty != b.ty && how == Meeting::Store {
                    return fail(different_types(&a, &b, construct));
                }
                if a.moving().is_some() && !was_var && !constant {
                    self.joined.push(Arc::clone(&a));
                }
                meet_classes(&a, &b, how, construct).map(Ty::Sealed)
            }
            (Ty::Array(a), Ty::Array(b)) => Ok(Ty::Array(Box::new(self.meet(&a, &b, how, construct)?))),
            (Ty::Row(a), Ty::Row(b)) if a.len() == b.len() => {
                let items: Result<_, _> =
                    a.iter().zip(&b).map(|(a, b)| self.meet(a, b, how, construct)).collect();
                Ok(Ty::Row(items?))
            }
            (left, right) => match (self.sealed_in(&left), self.sealed_in(&right)) {
                (None, None) => {
                    self.settle_as_plain(&left, construct)?;
                    self.settle_as_plain(&right, construct)?;
                    Ok(Ty::Plain)
                }
                (Some(class), _) | (_, Some(class)) => fail(match parameter {
                    Some(number) => Reason::ParameterConflict { number, column: class.column.clone() },
                    None => {
                        Reason::MeetsPlain { column: class.column.clone(), construct: construct.to_owned() }
                    }
                }),
            },
        }
    }

    fn bind_known(&mut self, var: Var, known: Ty, how: Meeting, construct: &str) -> Result<Ty, Box<Reason>> {
        self.check_mode(&known, how, construct)?;
        let known = if how == Meeting::Merge { bare(known) } else { known };
        self.bind(var, known.clone(), construct)?;
        Ok(known)
    }

    /// Proves that an expression is not encrypted. `refusal` says why one that is cannot be used here.
    pub(super) fn plain(
        &mut self,
        ty: &Ty,
        refusal: impl FnOnce(&Class) -> Reason,
    ) -> Result<(), Box<Reason>> {
        let resolved = self.resolve(ty);
        if let Some(class) = self.sealed_in(&resolved) {
            return fail(match self.parameter(ty) {
                Some(number) => Reason::ParameterConflict { number, column: class.column.clone() },
                None => refusal(&class),
            });
        }
        self.settle_as_plain(&resolved, "")
    }

    /// Proves that values of this type may be compared with each other.
    pub(super) fn check_mode(&self, ty: &Ty, how: Meeting, construct: &str) -> Result<(), Box<Reason>> {
        match self.resolve(ty) {
            Ty::Plain | Ty::Var(_) => Ok(()),
            Ty::Sealed(class) => check_class(&class, how, construct),
            Ty::Array(element) => self.check_mode(&element, how, construct),
            Ty::Row(items) => items.iter().try_for_each(|item| self.check_mode(item, how, construct)),
        }
    }

    /// The first class in a type that is encrypted.
    pub(super) fn sealed_in(&self, ty: &Ty) -> Option<Arc<Class>> {
        match self.resolve(ty) {
            Ty::Plain | Ty::Var(_) => None,
            Ty::Sealed(class) => Some(class),
            Ty::Array(element) => self.sealed_in(&element),
            Ty::Row(items) => items.iter().find_map(|item| self.sealed_in(item)),
        }
    }

    fn settle_as_plain(&mut self, ty: &Ty, construct: &str) -> Result<(), Box<Reason>> {
        match self.resolve(ty) {
            Ty::Var(var) => self.bind(var, Ty::Plain, construct),
            Ty::Array(element) => self.settle_as_plain(&element, construct),
            Ty::Row(items) => items.iter().try_for_each(|item| self.settle_as_plain(item, construct)),
            Ty::Plain | Ty::Sealed(_) => Ok(()),
        }
    }

    fn is_sealed(&self, ty: &Ty) -> bool {
        matches!(self.resolve(ty), Ty::Sealed(_))
    }

    fn parameter(&self, ty: &Ty) -> Option<usize> {
        match ty {
            Ty::Var(var) => self.cells.get(self.root(*var)).and_then(|cell| cell.parameter),
            Ty::Plain | Ty::Sealed(_) | Ty::Array(_) | Ty::Row(_) => None,
        }
    }

    fn mark_stored(&mut self, ty: &Ty) {
        match ty {
            Ty::Var(var) => {
                let root = self.root(*var);
                let bound = self.cells.get_mut(root).and_then(|cell| {
                    cell.stored = true;
                    cell.bound.clone()
                });
                if let Some(bound @ Ty::Array(_)) = bound {
                    self.mark_stored(&bound);
                }
            }
            Ty::Array(element) => self.mark_stored(element),
            Ty::Row(items) => items.iter().for_each(|item| self.mark_stored(item)),
            Ty::Plain | Ty::Sealed(_) => {}
        }
    }

    fn unite(&mut self, a: Var, b: Var) {
        let (a, b) = (self.root(a), self.root(b));
        if a == b {
            return;
        }
        let Some(from) = self.cells.get_mut(b) else { return };
        from.parent = Some(a);
        let (stored, text, parameter) = (from.stored, from.text, from.parameter);
        let (beside_column, leads_column, compared) = (from.beside_column, from.leads_column, from.compared);
        let (typed, text_for_good, mismatched) = (from.typed, from.text_for_good, from.mismatched);
        let varchar = from.varchar;
        if let Some(into) = self.cells.get_mut(a) {
            into.mismatched |= mismatched || (typed && into.text_for_good) || (text_for_good && into.typed);
            into.typed |= typed;
            into.varchar |= varchar;
            into.text_for_good |= text_for_good;
            into.stored |= stored;
            into.text |= text;
            into.beside_column |= beside_column;
            into.leads_column |= leads_column;
            into.compared |= compared;
            into.parameter = into.parameter.or(parameter);
        }
    }

    fn bind(&mut self, var: Var, ty: Ty, construct: &str) -> Result<(), Box<Reason>> {
        if self.occurs(var, &ty) {
            return fail(Reason::NotUnderstood {
                construct: construct.to_owned(),
                name: "itself".to_owned(),
            });
        }
        let stored = self.is_stored(var);
        if stored {
            self.mark_stored(&ty);
        }
        if let Some(cell) = self.cells.get_mut(var) {
            cell.bound = Some(ty);
        }
        Ok(())
    }

    fn occurs(&self, var: Var, ty: &Ty) -> bool {
        match self.resolve(ty) {
            Ty::Var(other) => other == var,
            Ty::Array(element) => self.occurs(var, &element),
            Ty::Row(items) => items.iter().any(|item| self.occurs(var, item)),
            Ty::Plain | Ty::Sealed(_) => false,
        }
    }
}

/// A column as what an expression makes of it, which has no modifier for the server.
pub(super) fn bare(ty: Ty) -> Ty {
    match ty {
        Ty::Sealed(class) if class.ty.modifier != -1 && !class.bare => {
            Ty::Sealed(Arc::new(Class { bare: true, ..Class::clone(&class) }))
        }
        other => other,
    }
}

/// The same as text, if it is a varchar.
fn as_text(ty: Ty) -> Ty {
    match ty {
        Ty::Sealed(class) if class.ty.base == Base::Varchar => {
            Ty::Sealed(Arc::new(Class { ty: Type::plain(Base::Text), ..Class::clone(&class) }))
        }
        other => other,
    }
}

fn check_class(class: &Class, how: Meeting, construct: &str) -> Result<(), Box<Reason>> {
    let (column, construct) = (class.column.clone(), construct.to_owned());
    match (how, class.binding.mode) {
        (Meeting::Merge | Meeting::Store, _)
        | (Meeting::Equality, Mode::Deterministic | Mode::Ordered)
        | (Meeting::Order, Mode::Ordered) => Ok(()),
        (Meeting::Equality, Mode::Randomized) => fail(Reason::NotComparable { column, construct }),
        (Meeting::Order, Mode::Randomized | Mode::Deterministic) => {
            fail(Reason::NotOrdered { column, construct })
        }
    }
}

fn meet_classes(
    a: &Arc<Class>,
    b: &Arc<Class>,
    how: Meeting,
    construct: &str,
) -> Result<Arc<Class>, Box<Reason>> {
    check_class(a, how, construct)?;
    check_class(b, how, construct)?;
    if a.binding != b.binding || a.key != b.key || a.storage != b.storage {
        return fail(Reason::DifferentlySealed {
            left: a.column.clone(),
            right: b.column.clone(),
            construct: construct.to_owned(),
        });
    }
    match how {
        Meeting::Equality | Meeting::Order => {
            if comparable(&a.ty, &b.ty) {
                Ok(Arc::clone(a))
            } else {
                fail(different_types(a, b, construct))
            }
        }
        Meeting::Store => {
            if holds(&a.ty, &b.ty) {
                Ok(Arc::clone(a))
            } else {
                fail(Reason::Narrower { source_column: b.column.clone(), target: a.column.clone() })
            }
        }
        Meeting::Merge => match merged(&a.ty, &b.ty) {
            Some(ty) if ty == a.ty && a.ty.modifier == b.ty.modifier && a.bare == b.bare => Ok(Arc::clone(a)),
            Some(ty) => Ok(Arc::new(Class { ty, bare: true, ..Class::clone(a) })),
            None => fail(different_types(a, b, construct)),
        },
    }
}

fn different_types(a: &Class, b: &Class, construct: &str) -> Reason {
    Reason::DifferentlyTyped {
        left: a.column.clone(),
        right: b.column.clone(),
        construct: construct.to_owned(),
    }
}

/// Whether PostgreSQL's comparison of two types of one family is that of their canonical forms.
fn comparable(a: &Type, b: &Type) -> bool {
    match (&a.base, &b.base) {
        (Base::Numeric, Base::Numeric) => a.modifier == b.modifier,
        (Base::Enum(a), Base::Enum(b)) => a.oid == b.oid,
        (Base::Enum(_), _) | (_, Base::Enum(_)) => false,
        (Base::Array(a), Base::Array(b)) => a == b,
        // The padding of one side counts or not by the type of the other.
        (Base::Bpchar, other) | (other, Base::Bpchar) => *other == Base::Bpchar,
        _ => rank(&a.base).zip(rank(&b.base)).is_some_and(|(a, b)| a.0 == b.0) || a.base == b.base,
    }
}

/// Whether a constant of a type (`None` if it is not known yet) and a column become one result of the column's
/// type, in the form in which the constant was written.
pub(super) fn joins_as_constant(column: &Type, constant: Option<Oid>, leads: bool) -> bool {
    let is_exact = match column.base {
        Base::Numeric | Base::Bpchar | Base::Time | Base::Timestamp | Base::Timestamptz | Base::Interval => {
            column.modifier == -1
        }
        _ => true,
    };
    let has_type = constant.is_none_or(|constant| {
        let constant = Type::from_oid(constant, -1).map_or_else(|| column.base.clone(), |ty| ty.base);
        column.base == constant
            || rank(&column.base).zip(rank(&constant)).is_some_and(|(column, constant)| {
                column.0 == constant.0 && if column.0 == TEXT { !leads } else { column.1 >= constant.1 }
            })
    });
    is_exact && has_type
}

/// Whether each value of `source` is one of `target`, in the same canonical form.
pub(super) fn holds(target: &Type, source: &Type) -> bool {
    if target == source {
        return true;
    }
    match (&target.base, &source.base) {
        (Base::Text, Base::Text | Base::Varchar) => true,
        (Base::Varchar, Base::Varchar) => wider(target.modifier, source.modifier),
        (Base::Varchar, Base::Text) => target.modifier == -1,
        (a, b) => match (rank(a), rank(b)) {
            (Some((a_family, a_rank)), Some((b_family, b_rank))) if a_family != TEXT => {
                a_family == b_family && a_rank >= b_rank
            }
            _ => false,
        },
    }
}

/// The type that two of one family become together.
fn merged(a: &Type, b: &Type) -> Option<Type> {
    if a == b {
        return Some(a.clone());
    }
    match (&a.base, &b.base) {
        (Base::Varchar, Base::Varchar) => Some(Type { base: Base::Varchar, modifier: -1 }),
        // Each can be cast to the other, so the first one's stays.
        (Base::Text | Base::Varchar, Base::Text | Base::Varchar) => {
            Some(Type { base: a.base.clone(), modifier: -1 })
        }
        (x, y) => match (rank(x), rank(y)) {
            (Some((x_family, x_rank)), Some((y_family, y_rank)))
                if x_family == y_family && x_family != TEXT =>
            {
                Some(if x_rank >= y_rank { a.clone() } else { b.clone() })
            }
            _ => None,
        },
    }
}

const TEXT: u8 = 0;

/// Families in which one type holds the values of the ones before it.
fn rank(base: &Base) -> Option<(u8, u8)> {
    match base {
        Base::Varchar => Some((TEXT, 0)),
        Base::Text => Some((TEXT, 1)),
        Base::Int2 => Some((1, 0)),
        Base::Int4 => Some((1, 1)),
        Base::Int8 => Some((1, 2)),
        Base::Float4 => Some((2, 0)),
        Base::Float8 => Some((2, 1)),
        Base::Bool
        | Base::Numeric
        | Base::Bpchar
        | Base::Bytea
        | Base::Date
        | Base::Time
        | Base::Timestamp
        | Base::Timestamptz
        | Base::Interval
        | Base::Uuid
        | Base::Inet
        | Base::Cidr
        | Base::Macaddr
        | Base::Json
        | Base::Jsonb
        | Base::Enum(_)
        | Base::Array(_) => None,
    }
}

fn wider(target: i32, source: i32) -> bool {
    target == -1 || (source != -1 && target >= source)
}

fn fail<T>(reason: Reason) -> Result<T, Box<Reason>> {
    Err(Box::new(reason))
}
