-- What is swept, or looked at every few seconds, goes by an index: it costs what it finds, not what its table has.

-- Attempts that paid nothing are swept once they are older than a day. Nothing that was in doubt then can still arrive,
-- and Redis has forgotten what they were to pay. Those that paid stay, as their payments do.
create index payment_attempts_unpaid_by_age on payment_attempts (at) where state in ('void', 'refused');

-- How old the oldest row is says whether Redis is being told.
create index outbox_by_age on outbox (created_at);
