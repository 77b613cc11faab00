//! What keeps a payment safe while it is under way, and after whoever made it died. Each test is red without its guard.

use std::sync::Arc;
use std::time::Duration;

use anteroom::booking;
use anteroom::clock;
use anteroom::ids::{Points, ReservationId, RoomName, ScheduleId, SeatId, UserId};
use anteroom::ledger::{self, PayOrder, Refusal};
use anteroom::queue;
use anteroom::seats::{self, Asking, Begin, Cancel, Reservation, ReservationState, Schedule, Wanted};
use deadpool_redis::redis::{self, Value};
use reqwest::Method;
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};

use crate::support::TestService;
use crate::support::contract::{order, until};

const SCHEDULE: ScheduleId = ScheduleId(12345);

fn key(part: &str) -> String {
    format!("anteroom:{{s:{SCHEDULE}}}:{part}")
}

/// Holds a seat for `user00001` for so long; the reservation as the seats' room has it.
async fn hold(service: &TestService, seat: &str, hold_ms: i64) -> (Arc<Schedule>, Reservation) {
    let seats = &service.service.app.seats;
    let (schedule, user) = (seats.schedule(SCHEDULE).unwrap(), UserId::parse("user00001").unwrap());
    let wanted = Wanted::Named(vec![SeatId::parse(seat).unwrap()]);
    let asking = Asking { user: &user, hold_ms, key_digest: None };
    let held = seats::hold(seats, &schedule, &wanted, asking).await.unwrap();
    (schedule, held)
}

/// Begins to pay it under this name; the name under which it is being paid.
async fn begin(service: &TestService, of: &(Arc<Schedule>, Reservation), attempt: &str) -> String {
    let (schedule, held) = of;
    match seats::begin_payment(&service.service.app.seats, schedule, held, (attempt, held.amount)).await.unwrap() {
        Begin::Begun(attempt) => attempt,
        other => panic!("{other:?}"),
    }
}

/// What pays a reservation under this attempt, in Postgres alone.
fn payment(held: &Reservation, attempt: &str) -> PayOrder {
    PayOrder {
        user: held.user.clone(),
        reservation: held.id.clone(),
        attempt: attempt.into(),
        schedule: held.schedule,
        seats: held.seats.clone(),
        amount: held.amount,
        room: RoomName::parse("main").unwrap(),
    }
}

/// When the hold of a seat ends, by each of the three keys that say so, ms.
fn ends_ms(service: &TestService, seat: &str) -> [i64; 3] {
    let number = |command: &[&str]| redis::from_redis_value(service.redis(command)).unwrap();
    [
        number(&["PEXPIRETIME", &key(&format!("hold:{seat}"))]),
        number(&["ZSCORE", &key("held"), seat]),
        number(&["ZSCORE", &key("user:user00001"), seat]),
    ]
}

async fn state(service: &TestService, id: &ReservationId) -> ReservationState {
    let seats = &service.service.app.seats;
    let schedule = seats.schedule(SCHEDULE).unwrap();
    seats::find(seats, &schedule, id).await.unwrap().unwrap().state
}

/// Guards what `begin_payment.lua` asks of the hold: whose it is, that its time is not over, and that its seats are held
/// still. Each is asked for alone, where the two others say nothing.
#[tokio::test(flavor = "multi_thread")]
async fn only_its_owner_begins_to_pay_and_only_while_the_hold_lives() {
    let service = TestService::start(&[]).await;
    let tried = async |of: &(Arc<Schedule>, Reservation)| {
        let amount = ("attempt", of.1.amount);
        seats::begin_payment(&service.service.app.seats, &of.0, &of.1, amount).await.unwrap()
    };
    let mut of = hold(&service, "B1", 300_000).await;
    of.1.user = UserId::parse("user00002").unwrap();
    assert!(matches!(tried(&of).await, Begin::Unknown), "it is another's");

    let over = hold(&service, "B2", 300_000).await;
    service.redis(&["HSET", &key(&format!("reservation:{}", over.1.id)), "expiresAt", "1"]);
    assert!(matches!(tried(&over).await, Begin::Expired), "its time is over, though its seat is held still");

    let gone = hold(&service, "B3", 300_000).await;
    service.redis(&["DEL", &key("hold:B3")]);
    assert!(matches!(tried(&gone).await, Begin::Expired), "its seat is not held any more");
    service.redis(&["SET", &key("hold:B3"), "another user00002 1"]);
    assert!(matches!(tried(&gone).await, Begin::Expired), "another holds its seat");
}

/// Guards the one prolongation in `begin_payment.lua`, and that `abort_payment.lua` takes it back.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_prolongs_its_hold_once_and_its_abort_restores_the_holds_own_end() {
    let service = TestService::start(&[]).await;
    let seats = &service.service.app.seats;
    let of = hold(&service, "B1", 300_000).await;
    let own_ms = of.1.expires_ms.unwrap();
    for attempt in ["first", "first", "second"] {
        begin(&service, &of, attempt).await;
        assert_eq!(ends_ms(&service, "B1"), [own_ms + seats.payment_ms(); 3]);
    }
    seats::abort_payment(seats, &of.0, &of.1, "first").await.unwrap();
    assert_eq!(ends_ms(&service, "B1"), [own_ms; 3]);
    assert_eq!(state(&service, &of.1.id).await, ReservationState::Held);
}

/// Guards that `begin_payment.lua` tells the attempt that runs, and that `abort_payment.lua` ends no other.
#[tokio::test(flavor = "multi_thread")]
async fn beginning_again_keeps_the_name_of_the_first_attempt_and_no_other_is_ended() {
    let service = TestService::start(&[]).await;
    let seats = &service.service.app.seats;
    let of = hold(&service, "B1", 300_000).await;
    for attempt in ["first", "second"] {
        assert_eq!(begin(&service, &of, attempt).await, "first");
    }
    seats::abort_payment(seats, &of.0, &of.1, "second").await.unwrap();
    assert_eq!(state(&service, &of.1.id).await, ReservationState::Paying);
    seats::abort_payment(seats, &of.0, &of.1, "first").await.unwrap();
    assert_eq!(begin(&service, &of, "third").await, "third");
}

/// Guards that `begin_payment.lua` moves the hold out of the sweep's reach, that `release.lua` asks whether a payment
/// is under way, and that nothing at the end of a visit frees what is being paid.
#[tokio::test(flavor = "multi_thread")]
async fn no_sweep_and_no_end_of_a_visit_touches_what_is_being_paid() {
    let service = TestService::start(&[]).await;
    let app = &service.service.app;
    service.visitor(1).await;
    let room = app.queue.room(&RoomName::parse("main").unwrap()).unwrap();
    let of = hold(&service, "B1", 1_000).await;
    begin(&service, &of, "first").await;
    let own_ms = of.1.expires_ms.unwrap();
    let prolonged = [own_ms + app.seats.payment_ms(); 3];
    // Until the hold's own time is over, and what is known of the seats is too old to be told again.
    until(async || (clock::unix_ms() > own_ms + 300).then_some(())).await;
    booking::sweep_holds(&app.booking).await.unwrap();
    assert_eq!(ends_ms(&service, "B1"), prolonged);
    assert_eq!(seats::cancel(&app.seats, &of.0, &of.1).await.unwrap(), Cancel::Paying);

    service.redis(&["ZADD", "anteroom:{main}:active", "XX", "1", "user00001"]);
    queue::run(&app.queue, &room).await.unwrap();
    assert_eq!(service.redis(&["ZSCORE", "anteroom:{main}:active", "user00001"]), Value::Nil, "the visit is over");
    service.token(1).await;
    // Where a visitor's holds are looked for.
    service.redis(&["ZADD", "anteroom:{u:user00001}:schedules", "1", "12345"]);
    assert!(booking::remove(&app.booking, &room, &of.1.user, None).await.unwrap());
    assert_eq!(ends_ms(&service, "B1"), prolonged);
    assert_eq!(state(&service, &of.1.id).await, ReservationState::Paying);
}

/// Guards that the job tells the seats and the balance, both of which died with the process that paid.
#[tokio::test(flavor = "multi_thread")]
async fn the_outbox_tells_redis_of_a_payment_whose_process_died_after_its_commit() {
    const BALANCE: &str = "anteroom:{u:user00001}:balance";
    let service = TestService::start(&[]).await;
    let app = &service.service.app;
    let (schedule, held) = hold(&service, "B1", 300_000).await;
    let attempt = begin(&service, &(schedule, held.clone()), "first").await;
    ledger::pay(&app.ledger, payment(&held, &attempt), None).await.unwrap();
    service.redis(&["DEL", BALANCE]);
    assert_eq!(service.redis(&["HGET", &key("sold"), "B1"]), Value::Nil);
    assert_eq!(state(&service, &held.id).await, ReservationState::Paying);

    service.sql("update outbox set due_at = now()").await;
    // The service's own job may have taken the row up a moment before.
    until(async || {
        booking::settle_outbox(&app.booking).await.unwrap();
        let sold = service.redis(&["HGET", &key("sold"), "B1"]);
        (sold == Value::BulkString(held.id.as_str().into())).then_some(())
    })
    .await;
    assert_eq!(state(&service, &held.id).await, ReservationState::Confirmed);
    assert_eq!(service.redis(&["HGET", BALANCE, "balance"]), Value::BulkString(b"995100".to_vec()));
    until(async || (service.number("select count(*) from outbox").await == 0).then_some(())).await;
    service.assert_invariants().await;
}

/// Guards that `apply_payment` believes no refusal of before that is not so any more, and that `booking::pay` begins
/// anew under another attempt: here the process died that was refused, before it told Redis.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_enough_points_by_now_pays_though_an_attempt_of_before_was_refused() {
    let service = TestService::start(&[]).await;
    let visitor = service.visitor(1).await;
    let of = hold(&service, "B1", 300_000).await;
    begin(&service, &of, "refused").await;
    // As if the account had a point less than it costs.
    let dear = PayOrder { amount: Points(1_000_001), ..payment(&of.1, "refused") };
    let refused = ledger::pay(&service.service.app.ledger, dear, None).await.unwrap_err();
    assert!(matches!(refused, Refusal::Insufficient { .. }), "{refused:?}");
    let order = json!({ "reservationId": of.1.id, "amount": of.1.amount });
    for replayed in [false, true] {
        let paid = service.post_once("/reservations/pay", &visitor, "again", &order).await;
        assert_eq!((paid.is(200).replayed(), &paid.body["balance"]), (replayed, &json!(995_100)));
    }
    service.assert_invariants().await;
}

/// Guards what `begin_payment.lua` asks of the seats that are sold, in each state that a lost reservation may be in.
#[tokio::test(flavor = "multi_thread")]
async fn who_lost_a_seat_to_another_within_the_time_of_the_hold_is_told_so() {
    let service = TestService::start(&[]).await;
    let app = &service.service.app;
    let visitor = service.visitor(1).await;
    for (at, (seat, status, code)) in
        [("B1", 409, "seat-sold"), ("B2", 410, "hold-expired"), ("B3", 409, "seat-sold")].into_iter().enumerate()
    {
        let (schedule, held) = hold(&service, seat, 300_000).await;
        let other = Reservation {
            id: ReservationId::parse(&format!("other{at}")).unwrap(),
            user: UserId::parse("testuser").unwrap(),
            ..held.clone()
        };
        ledger::pay(&app.ledger, payment(&other, "elsewhere"), None).await.unwrap();
        match seat {
            "B1" => seats::settle(&app.seats, &schedule, &other).await.unwrap(),
            "B2" => {
                service.redis(&["HSET", &key("sold"), seat, other.id.as_str()]);
                service.redis(&["HSET", &key(&format!("reservation:{}", held.id)), "expiresAt", "1"]);
            }
            _ => drop(service.redis(&["HSET", &key("sold"), seat, other.id.as_str()])),
        }
        let order = json!({ "reservationId": held.id, "amount": held.amount });
        for replayed in [false, true] {
            let lost = service.post_once("/reservations/pay", &visitor, seat, &order).await;
            assert_eq!(lost.refused(status, code).replayed(), replayed, "{seat}");
            assert!(status == 410 || lost.body["seats"] == json!([seat]), "{:?}", lost.body);
        }
        let given_up = state(&service, &held.id).await == ReservationState::Cancelled;
        assert!(given_up || status == 410, "{seat}");
    }
    assert_eq!(service.balance(&visitor).await, 1_000_000);
}

/// Guards that `booking::pay` tells Redis what Postgres told it: the outbox is due in an hour here.
#[tokio::test(flavor = "multi_thread")]
async fn a_seat_that_postgres_sold_to_another_is_held_by_nobody_after_the_first_who_finds_out() {
    let service = TestService::start(&[]).await;
    service.sql("alter table outbox alter column due_at set default now() + interval '1 hour'").await;
    let visitors = (service.visitor(1).await, service.visitor(2).await);
    let (_, held) = hold(&service, "B1", 300_000).await;
    let other = Reservation {
        id: ReservationId::parse("other").unwrap(),
        user: UserId::parse("testuser").unwrap(),
        ..held.clone()
    };
    ledger::pay(&service.service.app.ledger, payment(&other, "elsewhere"), None).await.unwrap();
    let order = json!({ "reservationId": held.id, "amount": held.amount });
    service.post("/reservations/pay", &visitors.0, &order).await.refused(409, "seat-sold");
    assert_eq!(service.redis(&["HGET", &key("sold"), "B1"]), Value::BulkString(b"other".to_vec()));
    service.hold(&visitors.1, SCHEDULE.0, "B1").await.refused(409, "seat-taken");
}

/// Guards that the job leaves a row which it can do nothing about: another process may have made the schedule just now.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_of_a_schedule_that_is_not_known_yet_stays_in_the_outbox() {
    let service = TestService::start(&[]).await;
    let app = &service.service.app;
    let (_, held) = hold(&service, "B1", 300_000).await;
    until(async || (service.number("select count(*) from outbox").await == 0).then_some(())).await;
    service.sql("alter table outbox alter column due_at set default now() + interval '1 hour'").await;
    ledger::pay(&app.ledger, payment(&held, "first"), None).await.unwrap();
    let unknown = "update outbox set due_at = now(), payload = payload || '{\"scheduleId\": 99}'";
    service.sql(unknown).await;
    until(async || {
        booking::settle_outbox(&app.booking).await.unwrap();
        (service.number("select attempts::bigint from outbox").await > 0).then_some(())
    })
    .await;
    booking::settle_outbox(&app.booking).await.unwrap();
    assert_eq!(service.number("select count(*) from outbox").await, 1, "what nobody was told of is done");
    service.sql("update outbox set due_at = now(), payload = payload || '{\"scheduleId\": 12345}'").await;
    until(async || {
        booking::settle_outbox(&app.booking).await.unwrap();
        (service.number("select count(*) from outbox").await == 0).then_some(())
    })
    .await;
    assert_eq!(state(&service, &held.id).await, ReservationState::Confirmed);
}

/// Guards that the job writes the attempt void before it gives the hold back: to its owner, or to others.
#[tokio::test(flavor = "multi_thread")]
async fn the_job_voids_an_attempt_that_never_reached_postgres_and_gives_the_seat_back() {
    let service = TestService::start(&[]).await;
    let app = &service.service.app;
    let (owner, other) = (service.visitor(1).await, service.visitor(2).await);
    let (live, over) = (hold(&service, "B1", 300_000).await, hold(&service, "B2", 300_000).await);
    for of in [&live, &over] {
        begin(&service, of, "lost").await;
    }
    service.redis(&["HSET", &key(&format!("reservation:{}", over.1.id)), "expiresAt", "1"]);
    for of in [&live, &over] {
        service.redis(&["ZADD", &key("paying"), "XX", "1", of.1.id.as_str()]);
    }
    booking::settle_stale(&app.booking).await.unwrap();
    until(async || (state(&service, &live.1.id).await == ReservationState::Held).then_some(())).await;
    until(async || (state(&service, &over.1.id).await == ReservationState::Expired).then_some(())).await;
    let void = "select count(*) from payment_attempts where attempt_id = 'lost' and state = 'void'";
    assert_eq!(service.number(void).await, 2);
    service.hold(&other, SCHEDULE.0, "B2").await.is(200);
    let own = service.get(&format!("/reservations/{}", live.1.id), &owner).await;
    service.pay(&owner, own.is(200)).await.is(200);
    service.assert_invariants().await;
}

/// Nothing of `user00001` is decided until this connection rolls back.
async fn hold_up(service: &TestService) -> PgConnection {
    let mut blocker = PgConnection::connect(&service.database_url).await.unwrap();
    for statement in ["begin", "select 1 from accounts where user_id = 'user00001' for update"] {
        blocker.execute(statement).await.unwrap();
    }
    blocker
}

/// Guards the task of its own in `booking::pay`. Nobody else tells Redis here: the outbox is due in an hour.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_does_not_stop_its_payment() {
    let service = TestService::start(&[("database_statement_ms", "60000")]).await;
    service.sql("alter table outbox alter column due_at set default now() + interval '1 hour'").await;
    let visitor = service.visitor(1).await;
    let held = service.hold(&visitor, SCHEDULE.0, "B1").await;
    let mut blocker = hold_up(&service).await;
    let request = service.request(Method::POST, "/reservations/pay", &visitor).json(&order(held.is(200)));
    let paying = tokio::spawn(request.send());
    service.until_held_up().await;
    paying.abort();
    assert!(paying.await.unwrap_err().is_cancelled());
    // Until the server has seen that the client is gone, of which it tells nobody.
    tokio::time::sleep(Duration::from_millis(500)).await;
    blocker.execute("rollback").await.unwrap();
    let path = format!("/reservations/{}", held.text("reservationId"));
    until(async || (service.get(&path, &visitor).await.text("status") == "confirmed").then_some(())).await;
    service.assert_invariants().await;
}

/// Red when who asks again is told that there is no such reservation: its payment is committed a moment later.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_redis_forgot_is_in_flight_until_it_has_ended() {
    let service = TestService::start(&[("database_statement_ms", "60000")]).await;
    let (visitor, other) = (service.visitor(1).await, service.visitor(2).await);
    let held = service.hold(&visitor, SCHEDULE.0, "B1").await;
    let mut blocker = hold_up(&service).await;
    let request = service.request(Method::POST, "/reservations/pay", &visitor).json(&order(held.is(200)));
    let paying = tokio::spawn(request.send());
    service.until_held_up().await;
    // The line stays: in a cluster it is another master's.
    let lost: Vec<String> = redis::from_redis_value(service.redis(&["KEYS", &key("*")])).unwrap();
    service.redis(&[&["DEL"], &lost.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat());
    service.pay(&visitor, &held).await.refused(409, "payment-in-flight");
    blocker.execute("rollback").await.unwrap();
    assert_eq!(paying.await.unwrap().unwrap().status(), 200);
    service.pay(&visitor, &held).await.is(200);
    assert_eq!(service.number("select count(*) from payments where user_id = 'user00001'").await, 1);
    // What went on then has ended, one way or another.
    let never = json!({ "reservationId": format!("{SCHEDULE}-{:032}", 0), "amount": 4_900 });
    service.sql("update schedules set epoch_raised_at = now() - interval '1 hour'").await;
    service.post("/reservations/pay", &other, &never).await.refused(404, "unknown-reservation");
    service.assert_invariants().await;
}
