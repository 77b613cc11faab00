-- A refused attempt refuses again only for what is so still. Redis may not have been told that it is over, and hands it
-- out again: who has charged points since then was told the balance of before, and that was kept under their key.

-- Decides a payment and writes down what it bought. The attempt's row is the last word: whoever wrote it first, this
-- payment or one who doubted it, is believed by the other. An attempt that was refused never pays; where it would not
-- be refused for the same reason now, the caller is told to try another.
create or replace function apply_payment(o ledger_operation, p_balance bigint) returns jsonb
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
        if attempt.state <> 'refused' or attempt.refusal is distinct from why then
            return jsonb_build_object('outcome', 'attempt_void');
        end if;
    end if;
    if why = 'seat_sold' then
        return jsonb_build_object('outcome', 'seat_sold', 'seatIds', sold);
    elsif why = 'insufficient' then
        return jsonb_build_object('outcome', 'insufficient', 'balance', p_balance, 'shortfall', o.amount - p_balance);
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
