-- Points move here and nowhere else: many operations in one transaction and one round trip, each with its own answer.
-- Everything is decided by looking, under locks, in order of arrival; an exception would undo the whole batch.

-- One operation, as the program sends it.
create type ledger_operation as (
    kind text,       -- 'charge', 'payment', or 'record': only keep the answer under the key
    user_id text,
    amount bigint,
    reference text,  -- a charge's own id, a payment's reservation
    attempt_id text, -- a payment's
    payment_id uuid,
    schedule_id bigint,
    seats text[],
    room text,
    route text,      -- route, key and body_hash: the Idempotency-Key, if there is one
    key text,
    body_hash bytea,
    answer jsonb     -- what a 'record' keeps; after the decision, what was decided
);

-- How a reservation was paid, or null.
create function payment_answer(p_reservation text) returns jsonb language plpgsql stable as $$
begin
    return (
        select jsonb_build_object(
            'outcome', 'paid', 'paymentId', p.id, 'reservationId', p.reservation_id, 'userId', p.user_id,
            'scheduleId', p.schedule_id, 'amount', p.amount, 'paidAt', p.paid_at,
            'seatIds', (select jsonb_agg(seats.label order by seats.ordinal)
                        from payment_seats as s
                        join seats on (seats.schedule_id, seats.label) = (s.schedule_id, s.seat_id)
                        where s.payment_id = p.id))
        from payments as p where p.reservation_id = p_reservation);
end
$$;

-- Decides a charge. Asking again about one that was committed answers the same, so one whose outcome is unknown is
-- simply sent again under its own id: its account's lock waits for whatever is still under way.
create function apply_charge(o ledger_operation, p_balance bigint, p_balance_limit bigint) returns jsonb
language plpgsql as $$
declare
    known boolean := exists (
        select from ledger_entries where kind = 'charge' and reference = o.reference and side = 'user');
begin
    if not known and o.amount > p_balance_limit - p_balance then
        return jsonb_build_object('outcome', 'balance_limit');
    end if;
    return jsonb_build_object('outcome', 'charged', 'amount', o.amount, 'entryId', o.reference, 'moved', not known);
end
$$;

-- Decides a payment and writes down what it bought. The attempt's row is the last word: whoever wrote it first, this
-- payment or one who doubted it, is believed by the other.
create function apply_payment(o ledger_operation, p_balance bigint) returns jsonb
language plpgsql as $$
declare
    payer text := (select user_id from payments where reservation_id = o.reference);
    sold jsonb;
    why text;
    attempt payment_attempts;
begin
    if payer = o.user_id then
        return payment_answer(o.reference);
    elsif payer is not null then
        return jsonb_build_object('outcome', 'not_theirs');
    end if;

    select jsonb_agg(seat_id) into sold from payment_seats
    where schedule_id = o.schedule_id and seat_id = any (o.seats);
    why := case when sold is not null then 'seat_sold' when p_balance < o.amount then 'insufficient' end;

    insert into payment_attempts (reservation_id, attempt_id, state, refusal, balance)
    values (o.reference, o.attempt_id, case when why is null then 'paid' else 'refused' end, why, p_balance)
    on conflict on constraint payment_attempts_once do nothing
    returning * into attempt;
    if attempt is null then
        select * into strict attempt from payment_attempts
        where reservation_id = o.reference and attempt_id = o.attempt_id;
        if attempt.state <> 'refused' then
            return jsonb_build_object('outcome', 'attempt_void');
        end if;
    end if;
    if attempt.refusal = 'seat_sold' then
        return jsonb_build_object('outcome', 'seat_sold', 'seatIds', sold);
    elsif attempt.refusal = 'insufficient' then
        return jsonb_build_object('outcome', 'insufficient', 'balance', attempt.balance,
            'shortfall', o.amount - attempt.balance);
    end if;

    with bought as (
        insert into payment_seats (payment_id, schedule_id, seat_id)
        select o.payment_id, o.schedule_id, label from unnest(o.seats) as label
    )
    insert into payments (id, reservation_id, user_id, schedule_id, amount, attempt_id)
    values (o.payment_id, o.reference, o.user_id, o.schedule_id, o.amount, o.attempt_id);
    return jsonb_build_object(
        'outcome', 'paid', 'paymentId', o.payment_id, 'reservationId', o.reference, 'userId', o.user_id,
        'scheduleId', o.schedule_id, 'amount', o.amount, 'paidAt', now(), 'seatIds', o.seats, 'moved', true);
end
$$;

-- Writes what every charge and payment of a batch leaves behind: both sides in the ledger, and what Redis must be told.
create function write_moved(p_moved ledger_operation[]) returns void language plpgsql as $$
begin
    insert into ledger_entries (kind, reference, side, user_id, amount)
    select o.kind, o.reference, s.side, case s.side when 'user' then o.user_id end,
        case when (o.kind = 'charge') = (s.side = 'user') then o.amount else -o.amount end
    from unnest(p_moved) as o cross join (values ('user'), ('shop')) as s (side);

    insert into outbox (id, kind, payload)
    select coalesce(o.payment_id, o.reference::uuid), case o.kind when 'payment' then 'settle' else 'project' end,
        jsonb_strip_nulls(jsonb_build_object(
            'userId', o.user_id, 'balance', o.answer -> 'balance', 'version', o.answer -> 'version',
            'reservationId', o.answer -> 'reservationId', 'scheduleId', o.schedule_id, 'seatIds', o.seats,
            'attemptId', o.attempt_id, 'room', o.room))
    from unnest(p_moved) as o;
end
$$;

-- Applies a batch; answers one row per operation, in order of arrival.
--
-- Every process locks accounts by id, then seats by schedule and label, so batches cannot deadlock. Each statement
-- sees what was committed before it began: what is read after the locks is the truth until the commit.
--
-- p_told names outbox rows that Redis has been told of: they leave with this commit instead of one of their own.
create function apply_ledger_batch(p_batch jsonb, p_balance_limit bigint, p_told uuid[])
returns table (replayed boolean, answer jsonb)
language plpgsql
-- Plans are made once per connection and go by index, however small the tables were at that time.
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    operations ledger_operation[] := array(select s from jsonb_populate_recordset(null::ledger_operation, p_batch) as s);
    users text[];
    balances bigint[];
    versions bigint[];
    moved ledger_operation[] := '{}';
    o ledger_operation;
    stored idempotency_keys;
    a integer; -- the account's number among users
begin
    select array_agg(locked.user_id), array_agg(locked.balance), array_agg(locked.version)
    into users, balances, versions
    from (select distinct user_id from unnest(operations) order by user_id) as wanted
    cross join lateral (
        select user_id, balance, version from accounts where user_id = wanted.user_id for no key update
    ) as locked;

    perform from (
        select distinct o.schedule_id, label from unnest(operations) as o, unnest(o.seats) as label order by 1, 2
    ) as wanted
    cross join lateral (
        select from seats where schedule_id = wanted.schedule_id and label = wanted.label for no key update
    ) as locked;

    foreach o in array operations loop
        a := array_position(users, o.user_id);
        stored := null;
        if o.key is not null then
            select * into stored from idempotency_keys
            where user_id = o.user_id and route = o.route and key = o.key;
        end if;

        replayed := coalesce(stored.body_hash = o.body_hash, false);
        if a is null then
            answer := jsonb_build_object('outcome', 'unknown_account');
        elsif replayed then
            answer := stored.answer;
        elsif stored.body_hash is not null then
            answer := jsonb_build_object('outcome', 'key_reused');
        else
            answer := case o.kind
                when 'charge' then apply_charge(o, balances[a], p_balance_limit)
                when 'payment' then apply_payment(o, balances[a])
                when 'record' then jsonb_build_object('outcome', 'recorded', 'answer', o.answer)
            end;
            if answer @> '{"moved": true}' then
                balances[a] := balances[a] + case o.kind when 'charge' then o.amount else -o.amount end;
                versions[a] := versions[a] + 1;
            end if;
            answer := jsonb_build_object('balance', balances[a], 'version', versions[a]) || answer;
            if answer @> '{"moved": true}' then
                o.answer := answer;
                moved := array_append(moved, o);
            end if;
            if o.key is not null and answer ->> 'outcome' not in ('attempt_void', 'not_theirs') then
                insert into idempotency_keys (user_id, route, key, body_hash, answer)
                values (o.user_id, o.route, o.key, o.body_hash, answer - 'moved');
            end if;
        end if;
        return next;
    end loop;

    update accounts set balance = changed.balance, version = changed.version
    from unnest(users, balances, versions) as changed (user_id, balance, version)
    where accounts.user_id = changed.user_id and accounts.version <> changed.version;
    perform write_moved(moved);
    delete from outbox where id = any (p_told);
end
$$;
