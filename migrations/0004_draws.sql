-- The draw of places before an opening, and what visitors are told in their language.
--
-- The seed and the key of the tickets are secrets, and made together when a draw is switched on. The commitment is what
-- is public of the seed before the opening: its SHA-256, over the beacon's name too where there is one. A beacon is a
-- value that nobody knew when the commitment was made, such as a public round of random numbers; its value is told later.

-- A draw could be switched on before it did anything: such a room has no seed, and nobody drew a number in it.
update rooms set draw = false, seed = null;

alter table rooms
    add column draw_commitment text,
    add column draw_ticket_key bytea,
    add column draw_beacon text,
    add column draw_beacon_value text,
    -- How many were drawn, once the list of them is complete.
    add column draw_count bigint,
    -- The message by language, as {"ko": …, "en": …, "ja": …}; where a language is missing, `message` is told.
    add column messages jsonb not null default '{}',
    add constraint rooms_draw_has_secrets check (
        not draw or (seed is not null and draw_ticket_key is not null and draw_commitment is not null)
    );

-- One row is a part of the public list of one draw: the tickets of up to a thousand of those who were drawn, 32 bytes
-- each, in order. It stays when Redis forgets and when the room draws again, because it is what proves the order.
create table draw_pages (
    commitment text not null,
    page bigint not null,
    tickets bytea not null,
    constraint draw_pages_pkey primary key (commitment, page)
);

-- The audit is read from its end, mostly of one room.
create index audit_log_by_room on audit_log (room, id);
