//! Compares what clients saw with what Postgres has. Shares no code with the service: the tables are its contract.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{Connection, PgConnection};

use super::history::{History, Order, Outcome};

/// What was compared.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) confirmed: usize,
    pub(super) refused: usize,
    pub(super) charges: usize,
}

/// A payment with its seats.
#[derive(Debug)]
struct Payment {
    id: String,
    user: String,
    amount: i64,
    seats: BTreeSet<(i64, String)>,
}

/// Fails unless Postgres has what was confirmed, all of it, and nothing else.
pub(super) async fn check(database_url: &str, histories: &[&History]) -> Checked {
    let mut database = PgConnection::connect(database_url).await.unwrap();
    let mut payments = payments(&mut database).await;
    let balances = balances(&mut database).await;
    database.close().await.unwrap();
    payments.remove("res123").expect("the payment of the demo data");

    let mut checked = Checked::default();
    let mut known = BTreeSet::new();
    for history in histories {
        for order in &history.orders {
            check_order(history, order, payments.get(&order.reservation));
            match order.outcome {
                Outcome::Confirmed(_) => checked.confirmed += usize::from(known.insert(&order.reservation)),
                _ => checked.refused += 1,
            }
        }
        let charged = history.charges.iter().filter(|charge| matches!(charge.outcome, Outcome::Confirmed(_)));
        let charged: Vec<_> = charged.map(|charge| charge.amount).collect();
        let paid: i64 = payments.values().filter(|paid| paid.user == history.user).map(|paid| paid.amount).sum();
        let expected = history.opening + charged.iter().sum::<i64>() - paid;
        assert_eq!(balances[&history.user], (expected, expected), "balance and entries of {history:?}");
        checked.charges += charged.len();
    }
    let of_nobody: Vec<_> = payments.iter().filter(|(reservation, _)| !known.contains(reservation)).collect();
    assert!(of_nobody.is_empty(), "paid, but no client was told: {of_nobody:?}");
    let seats: Vec<_> = payments.values().flat_map(|payment| &payment.seats).collect();
    let once: BTreeSet<_> = seats.iter().collect();
    assert_eq!(seats.len(), once.len(), "a seat is sold twice");
    checked
}

fn check_order(history: &History, order: &Order, paid: Option<&Payment>) {
    match (&order.outcome, paid) {
        (Outcome::Confirmed(id), Some(paid)) => {
            let seats = order.seats.iter().map(|seat| (order.schedule, seat.clone())).collect();
            let told = (id, &history.user, order.amount, &seats);
            assert_eq!(told, (&paid.id, &paid.user, paid.amount, &paid.seats));
        }
        (Outcome::Refused(_), None) => {}
        (_, paid) => panic!("{} was told {order:?}, and Postgres has {paid:?}", history.user),
    }
}

/// All payments, by their reservation.
async fn payments(database: &mut PgConnection) -> BTreeMap<String, Payment> {
    let rows: Vec<(String, String, String, i64)> =
        sqlx::query_as("select reservation_id, id::text, user_id, amount from payments")
            .fetch_all(&mut *database)
            .await
            .unwrap();
    let seats: Vec<(String, i64, String)> =
        sqlx::query_as("select payment_id::text, schedule_id, seat_id from payment_seats")
            .fetch_all(database)
            .await
            .unwrap();
    let mut of: BTreeMap<String, BTreeSet<(i64, String)>> = BTreeMap::new();
    for (payment, schedule, seat) in seats {
        of.entry(payment).or_default().insert((schedule, seat));
    }
    let payment = |(reservation, id, user, amount): (String, String, String, i64)| {
        let seats = of.remove(&id).unwrap_or_default();
        (reservation, Payment { id, user, amount, seats })
    };
    let payments = rows.into_iter().map(payment).collect();
    assert!(of.is_empty(), "seats without a payment: {of:?}");
    payments
}

/// Each account's balance, and the sum of its entries.
async fn balances(database: &mut PgConnection) -> BTreeMap<String, (i64, i64)> {
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(
        "select user_id, balance, coalesce(entered, 0)
         from accounts
         left join (select user_id, sum(amount)::bigint as entered from ledger_entries group by user_id) as entries
             using (user_id)",
    )
    .fetch_all(database)
    .await
    .unwrap();
    rows.into_iter().map(|(user, balance, entered)| (user, (balance, entered))).collect()
}
