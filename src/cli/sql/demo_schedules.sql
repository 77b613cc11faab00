-- The demo concerts' performances: those that the documentation names, and $1 more with $2 seats each, from 30001 on.
-- Seats stand in rows, the first one the dearest. Those that exist stay as they are, but do not lie in the past.
with stages (id, concert_id, venue, days, seats, width) as (
    values
        (12345, 1, 'Riverside Hall', 30, 1300, 50),
        (12346, 1, 'Riverside Hall', 31, 100, 10),
        (12347, 2, 'The Attic', 40, 10, 10),
        (12348, 2, 'The Attic', 41, 1, 1),
        (20001, 3, 'Harbour Arena', 60, 1000, 50),
        (20002, 3, 'Harbour Arena', 61, 5000, 50),
        (20003, 3, 'Harbour Arena', 62, 50, 10)
    union all
    select 30000 + n, 3, 'Harbour Arena', 62 + n, $2::integer, 50 from generate_series(1, $1::integer) as n
), scheduled as (
    insert into schedules (id, concert_id, room, venue, starts_at)
    select id, concert_id, 'main', venue, date_trunc('hour', now()) + days * interval '1 day' from stages
    on conflict on constraint schedules_pkey do update set starts_at = excluded.starts_at
        where schedules.starts_at < now()
    returning id
), placed as (
    select s.id, ordinal, (ordinal - 1) / s.width as row, (ordinal - 1) % s.width + 1 as number
    from stages as s cross join lateral generate_series(1, s.seats) as ordinal
    where s.id in (select id from scheduled) and not exists (select from seats where schedule_id = s.id)
), named as (
    select *, case when row < 26 then '' else chr(64 + row / 26) end || chr(65 + row % 26) as row_label from placed
)
insert into seats (schedule_id, label, section, row_label, number, ordinal, price)
select id, row_label || number, case when row < 10 then 'Floor' else 'Circle' end, row_label, number, ordinal,
    greatest(1000, 5000 - 100 * row)
from named
