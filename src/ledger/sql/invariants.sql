-- A statement for each check, in one snapshot: its name, how many rows break it, how many were looked at.
select 'I1-seat-sold-once', count(*) filter (where times > 1), count(*)
from (select count(*) as times from payment_seats group by schedule_id, seat_id) as sold;

select 'I2-balance-is-sum-of-entries', count(*) filter (where a.balance < 0 or a.balance <> coalesce(s.points, 0)),
    count(*)
from accounts as a
left join (select user_id, sum(amount) as points from ledger_entries where side = 'user' group by user_id) as s
    on s.user_id = a.user_id;

select 'I3-both-sides', count(*) filter (where user_sides <> 1 or shop_sides <> 1 or rest <> 0), count(*)
from (select count(*) filter (where side = 'user') as user_sides, count(*) filter (where side = 'shop') as shop_sides,
          sum(amount) as rest
      from ledger_entries group by kind, reference) as entries;

select 'I3-points-conserved', case when charged - paid = held then 0::bigint else 1::bigint end, 1::bigint
from (select coalesce(sum(amount) filter (where kind in ('charge', 'opening')), 0) as charged,
             coalesce(-sum(amount) filter (where kind = 'payment'), 0) as paid
      from ledger_entries where side = 'user') as moved,
    (select coalesce(sum(balance), 0) as held from accounts) as kept;

select 'I3-payment-has-entries', count(*) filter (where p.id is null or e.reference is null), count(*)
from payments as p
full join (select * from ledger_entries where kind = 'payment' and side = 'user') as e
    on e.reference = p.reservation_id and e.user_id = p.user_id and e.amount = -p.amount;

select 'I3-sold-seat-has-payment', count(*) filter (where p.id is null or s.payment_id is null), count(*)
from payments as p full join payment_seats as s on s.payment_id = p.id and s.schedule_id = p.schedule_id;

select 'I5-reservation-paid-once', count(*) filter (where times > 1), count(*)
from (select count(*) as times from payments group by reservation_id) as paid;

select 'I5-paid-by-its-attempt', count(*) filter (where p.id is null or t.attempt_id is null), count(*)
from payments as p
full join (select * from payment_attempts where state = 'paid') as t
    on t.reservation_id = p.reservation_id and t.attempt_id = p.attempt_id;
