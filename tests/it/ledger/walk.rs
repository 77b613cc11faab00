//! A random walk of charges and payments against a model of a few lines.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use anteroom::ids::{Points, SeatId};
use anteroom::ledger::{self, Ledger, Paid, PayOrder, Refusal};
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::House;

const ACCOUNTS: usize = 4;
const ROUNDS: usize = 60;

/// Pays, and tells Redis what is left, as whoever pays does.
async fn pay(ledger: &Ledger, order: PayOrder) -> Result<Paid, Refusal> {
    let payer = order.user.clone();
    let paid = ledger::pay(ledger, order, None).await?;
    if paid.new {
        ledger::project(ledger, &payer, paid.balance, paid.version).await.unwrap();
    }
    Ok(paid)
}

/// Each round sends a few operations to two processes at once. Answers are checked against what they may be; after
/// each round the books are checked, and the balances against the answers.
#[tokio::test]
async fn points_are_conserved_whatever_is_charged_and_paid() {
    let house = House::with(i64::try_from(ACCOUNTS).unwrap(), 150).await;
    let processes = [Arc::new(house.ledger()), Arc::new(house.ledger())];
    let mut random = StdRng::seed_from_u64(4_711);
    let mut balances = [150_i64; ACCOUNTS];
    let mut owners: HashMap<SeatId, String> = HashMap::new();
    let mut paid_reservations: HashSet<String> = HashSet::new();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..ROUNDS {
        let operations = (0..random.random_range(1..12)).map(|n| {
            let (ledger, account) = (Arc::clone(&processes[n % 2]), random.random_range(0..ACCOUNTS));
            let amount = random.random_range(1..150);
            let first = random.random_range(1..40);
            // Few reservations, each of one account and of the same seats whenever it is paid.
            let order = house.order(first % ACCOUNTS, &format!("r{first}"), &[first, first + 1]);
            let order = PayOrder { attempt: random.random_range(0..1_000_000).to_string(), ..order };
            let (user, adds) = (house.user(account), random.random_bool(0.25));
            async move {
                if adds {
                    let charged = ledger::charge(&ledger, &user, Points(amount), None).await;
                    return Step::Charged(account, charged.unwrap().amount.0);
                }
                Step::Paid(first % ACCOUNTS, pay(&ledger, order).await)
            }
        });
        let operations: Vec<_> = operations.collect();
        for step in join_all(operations).await {
            let word = match step {
                Step::Charged(account, amount) => {
                    balances[account] += amount;
                    "charged"
                }
                Step::Paid(account, Ok(paid)) if paid.new => {
                    assert!(paid_reservations.insert(paid.payment.reservation.to_string()), "paid twice");
                    for seat in &paid.payment.seats {
                        let before = owners.insert(seat.clone(), paid.payment.reservation.to_string());
                        assert_eq!(before, None, "{seat} was sold twice");
                    }
                    balances[account] -= paid.payment.amount.0;
                    "paid"
                }
                Step::Paid(_, Ok(paid)) => {
                    assert_eq!(owners[&paid.payment.seats[0]], paid.payment.reservation.to_string());
                    "repeated"
                }
                Step::Paid(_, Err(Refusal::SeatSold { .. })) => "sold",
                Step::Paid(_, Err(Refusal::Insufficient { .. })) => "insufficient",
                Step::Paid(_, Err(other)) => panic!("{other}"),
            };
            *seen.entry(word).or_default() += 1;
        }
        house.sound(&processes[0]).await;
        for (account, balance) in balances.iter().enumerate() {
            assert_eq!(house.balance(account).await, *balance);
            let told = ledger::balance(&processes[1], &house.user(account)).await.unwrap();
            assert_eq!(told, Some(Points(*balance)));
        }
    }
    for word in ["charged", "paid", "repeated", "sold", "insufficient"] {
        assert!(seen.get(word).is_some_and(|times| *times >= 5), "the walk proves too little: {seen:?}");
    }
}

enum Step {
    Charged(usize, i64),
    Paid(usize, Result<ledger::Paid, Refusal>),
}
