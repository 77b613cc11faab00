-- Accounts $1 with the password hash $2 and $3 points each, as opening entries. Those that exist stay as they are.
with made as (
    insert into users (username, password_hash) select name, $2 from unnest($1::text[]) as name
    on conflict on constraint users_pkey do nothing
    returning username
), opened as (
    insert into accounts (user_id, balance, version) select username, $3, 1 from made returning user_id
), entered as (
    insert into ledger_entries (kind, reference, side, user_id, amount)
    select 'opening', user_id, side, case side when 'user' then user_id end, case side when 'user' then $3 else -$3 end
    from opened cross join (values ('user'), ('shop')) as sides (side)
)
select count(*) from opened
