-- A phone in a pocket does not ask: the place of who came by phone is kept for longer when they are absent at their turn.
alter table rooms
    add column phone_grace_seconds integer not null default 900
        constraint rooms_phone_grace_not_negative check (phone_grace_seconds >= 0);

-- Redis takes settings of a newer version only.
update rooms set version = version + 1;
