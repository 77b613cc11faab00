//! Redis forgets: everything, nothing, or the payment that it was told of last.

use rand::RngExt as _;

use super::super::{incarnation, texts};
use super::{State, Walk};

/// When a hold ends that outlives this walk, ms.
const FAR: &str = "9000000000000";

impl Walk {
    /// Redis is back, with its data or without: what is sold is told again.
    pub(super) fn forget(&mut self) -> String {
        if self.random.random_bool(0.5) {
            self.scripts.run::<()>(&["FLUSHDB"]);
            self.reservations.clear();
            if self.random.random_bool(0.7) {
                self.sold.clear(); // as good as another schedule
            }
        } else if self.random.random_bool(0.7) {
            self.lose_payment();
        }
        self.seen.note("forgotten");
        self.set_up();
        "a restart".to_owned()
    }

    /// The hold is there again that a payment had ended.
    fn lose_payment(&mut self) {
        let paid = self.reservations.iter().rev().find(|(_, held)| held.state == State::Confirmed);
        let Some((id, held)) = paid.map(|(id, held)| (id.clone(), held.clone())) else { return };
        let key = |part: &str| format!("{}{part}", self.scripts.prefix);
        let (reservation, own) = (key(&format!("reservation:{id}")), key(&format!("user:{}", held.user)));
        let (all, sold, sales, paying) = (key("held"), key("sold"), key("sales"), key("paying"));
        let holds: Vec<_> = held.seats.iter().map(|seat| (seat, key(&format!("hold:{seat}")))).collect();
        let value = format!("{id} {} {}", held.user, held.seats.len());
        for (seat, hold) in &holds {
            self.scripts.run::<()>(&["SET", hold, &value, "PX", "300000"]);
            self.scripts.run::<i64>(&["ZADD", &all, FAR, seat]);
            self.scripts.run::<i64>(&["ZADD", &own, FAR, seat]);
            self.scripts.run::<i64>(&["HDEL", &sold, seat]);
            self.scripts.run::<i64>(&["LREM", &sales, "0", seat]);
        }
        self.scripts.run::<i64>(&["HSET", &reservation, "state", "held"]);
        self.scripts.run::<i64>(&["ZADD", &paying, "1", &id]);
        self.seen.note("payment lost");
    }

    /// As the program does for a new epoch, with what Postgres says is sold.
    pub(super) fn set_up(&mut self) {
        self.epoch += 1;
        let (sold, owners) = (&self.sold, &self.owners);
        let name = |described: &str| match described.split([',', ':', '(']).next().unwrap() {
            "for each seat sold" => {
                let three = |(seat, by): (&String, &String)| {
                    [format!("user:{}", owners[by]), format!("reservation:{by}"), format!("hold:{seat}")]
                };
                sold.iter().flat_map(three).collect()
            }
            name => vec![name.to_owned()],
        };
        let pairs = sold.iter().flat_map(|(seat, by)| [seat.clone(), by.clone()]);
        let args: Vec<_> = std::iter::once(self.epoch.to_string()).chain(pairs).collect();
        assert_eq!(texts(&self.scripts.call("restore_sold", name, &args)), ["restored"]);
        let args = [incarnation(self.epoch), self.epoch.to_string()];
        assert_eq!(self.call("setup_schedule", ("", "", &[]), &args), ["ready"]);
        assert_eq!(self.call("setup_schedule", ("", "", &[]), &args), ["older"]);
        let paying = self.scripts.key("paying");
        for by in self.sold.values() {
            let looked_after = self.scripts.run::<Option<String>>(&["ZSCORE", &paying, by]);
            assert_eq!(looked_after, None, "{by} is sold");
        }
    }
}
