//! Every `code` of a problem, with its status, its title and what to do about it: one table, from which the answers,
//! the pages at `/errors/{code}` and the API's description are made.

use axum::http::StatusCode;

/// One row of the table.
#[derive(Debug)]
pub struct Entry {
    /// The stable kebab-case name that clients may match on.
    pub name: &'static str,
    /// The HTTP status that always goes with it.
    pub status: StatusCode,
    /// A short summary, the same at each occurrence.
    pub title: &'static str,
    /// What it means and what a caller can do.
    pub explanation: &'static str,
}

macro_rules! codes {
    ($($variant:ident $name:literal $status:ident $title:literal $explanation:literal;)*) => {
        /// A kind of problem: the `code` of an error's body.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $title] $variant,)*
        }

        /// All codes, in the order of [`Code`].
        pub const CODES: &[Entry] = &[
            $(Entry { name: $name, status: StatusCode::$status, title: $title, explanation: $explanation },)*
        ];
    };
}

codes! {
    MalformedRequest "malformed-request" BAD_REQUEST "The request is not valid HTTP"
        "The request breaks a rule of HTTP/1.1: it needs exactly one Host, and either Content-Length or \
         Transfer-Encoding. The connection is closed.";
    MalformedBody "malformed-body" BAD_REQUEST "The body is not valid JSON"
        "The body could not be read as JSON in UTF-8. Check quotes, commas and that the whole body was sent.";
    BadCredentials "bad-credentials" UNAUTHORIZED "Wrong username or password"
        "The username or the password is wrong. Which of the two is not told.";
    InvalidToken "invalid-token" UNAUTHORIZED "The token is missing or not valid"
        "Send a token from POST /auth/token as Authorization: Bearer. A token that was altered, is not meant for this, \
         or belongs to a login whose password was refused is not valid.";
    TokenExpired "token-expired" UNAUTHORIZED "The token has expired"
        "Ask for a new one with POST /auth/token. The place in line is kept.";
    AdmissionRequired "admission-required" UNAUTHORIZED "Not admitted"
        "The visitor is not inside. X-Queue-Redirect is the address of the waiting page, which leads back when it is \
         their turn.";
    AdminUnauthorized "admin-unauthorized" UNAUTHORIZED "The operators' token is missing or wrong"
        "Send the admin token of the service's configuration as Authorization: Bearer.";
    InsufficientPoints "insufficient-points" PAYMENT_REQUIRED "Not enough points"
        "The balance is smaller than the amount: balance and shortfall are given. Charge points and pay again while \
         the hold lives.";
    UserMismatch "user-mismatch" FORBIDDEN "The userId is not the caller's"
        "A userId in a request is optional, and must be the account that the token was made for.";
    CrossOrigin "cross-origin" FORBIDDEN "Sent by another site"
        "A browser sent its cookie with this request because another site made it. Nothing was done.";
    NotAdmitted "not-admitted" FORBIDDEN "Not admitted yet"
        "Only visitors whose place is active may do this. The place is given; poll GET /queue/position until it is \
         active.";
    SignupClosed "signup-closed" FORBIDDEN "No new accounts at the moment"
        "Making accounts is switched off, as it may be during a sale.";
    NotFound "not-found" NOT_FOUND "Nothing is here"
        "No resource has this address. GET /openapi.json lists all of them.";
    UnknownRoom "unknown-room" NOT_FOUND "No such room"
        "There is no room of this name.";
    UnknownSchedule "unknown-schedule" NOT_FOUND "No such schedule"
        "There is no schedule of this id. GET /reservations/available/dates lists those of the caller's room.";
    UnknownSeat "unknown-seat" NOT_FOUND "No such seat"
        "The schedule has no seat of this label.";
    UnknownReservation "unknown-reservation" NOT_FOUND "No such reservation"
        "The caller has no reservation of this id.";
    UnknownPlace "unknown-place" NOT_FOUND "No such place"
        "This account has no place in this room.";
    NoDraw "no-draw" NOT_FOUND "No such draw"
        "The room does not draw places, or the list of its draw has no such page.";
    MethodNotAllowed "method-not-allowed" METHOD_NOT_ALLOWED "This method is not allowed here"
        "The address exists, but not for this method. The Allow header lists those that work.";
    RequestTimeout "request-timeout" REQUEST_TIMEOUT "The body took too long to arrive"
        "A body must arrive within ten seconds. Send the request again.";
    UsernameTaken "username-taken" CONFLICT "The username is taken"
        "Another account has this username. Choose another one.";
    RoomClosed "room-closed" CONFLICT "The room is closed"
        "The room takes no more visitors.";
    SeatTaken "seat-taken" CONFLICT "A seat is taken"
        "At least one of the seats is held or sold; seats names them, and alternatives are free ones. None was held.";
    SeatLimit "seat-limit" CONFLICT "Too many seats"
        "One account may hold and own only so many seats of a schedule.";
    AlreadyConfirmed "already-confirmed" CONFLICT "The reservation is paid"
        "A paid reservation cannot be cancelled.";
    PaymentInFlight "payment-in-flight" CONFLICT "A payment is under way"
        "The outcome of this reservation's payment is not known yet. Ask again after the time in Retry-After.";
    BalanceLimit "balance-limit" CONFLICT "The balance would grow too large"
        "An account may have only so many points. Nothing was charged.";
    SeatSold "seat-sold" CONFLICT "The seat was sold to someone else"
        "Another payment owns a seat of this reservation. Nothing was charged.";
    IdempotencyKeyInFlight "idempotency-key-in-flight" CONFLICT "The first request of this key is still running"
        "A request with the same Idempotency-Key has not been answered yet. Send it again after the time in \
         Retry-After to get its answer.";
    HoldExpired "hold-expired" GONE "The hold has expired"
        "The reservation was not paid in time, and its seats are free again. Nothing was charged.";
    SaleEnded "sale-ended" GONE "The sale has ended"
        "This performance is on sale no more. What is held of it can be paid while the hold lives.";
    StaleVersion "stale-version" PRECONDITION_FAILED "It was changed in the meantime"
        "If-Match names a version that is no longer the current one. Read it again and repeat the change.";
    BodyTooLarge "body-too-large" PAYLOAD_TOO_LARGE "The body is too large"
        "A body may have at most 16 KiB.";
    UnsupportedMediaType "unsupported-media-type" UNSUPPORTED_MEDIA_TYPE "The body must be JSON"
        "Send Content-Type: application/json, in UTF-8 and not compressed.";
    ValidationFailed "validation-failed" UNPROCESSABLE_ENTITY "A value is not acceptable"
        "The request could be read, but a value is missing or not allowed. Each one is in errors, as field and message.";
    AmountMismatch "amount-mismatch" UNPROCESSABLE_ENTITY "The amount is not the price"
        "The amount must be the one of the reservation. Nothing was charged.";
    IdempotencyKeyReused "idempotency-key-reused" UNPROCESSABLE_ENTITY "The Idempotency-Key was used for another body"
        "A key stands for one request. Use a new key for a new one.";
    PreconditionRequired "precondition-required" PRECONDITION_REQUIRED "If-Match is needed"
        "Say with If-Match which version is to be changed.";
    RateLimited "rate-limited" TOO_MANY_REQUESTS "Too many attempts"
        "Too many attempts from this address or for this account. Try again after the time in Retry-After.";
    InternalError "internal-error" INTERNAL_SERVER_ERROR "A defect of ours"
        "This should not have happened. The operators find it by the x-request-id of the answer.";
    QueueFull "queue-full" SERVICE_UNAVAILABLE "The line is full"
        "No more places can be given at the moment. Try again after the time in Retry-After.";
    Unavailable "unavailable" SERVICE_UNAVAILABLE "The service cannot do this at the moment"
        "Something that the service depends on does not answer. Nothing was changed unless a later answer says so. Try \
         again after the time in Retry-After; places in line are kept. A charge that may have counted has its own \
         detail.";
    Overloaded "overloaded" SERVICE_UNAVAILABLE "Too many requests are under way"
        "Requests of this kind are at their limit. Nothing was done. Try again after the time in Retry-After.";
}

impl Code {
    /// The row of this code.
    pub fn entry(self) -> &'static Entry {
        &CODES[self as usize]
    }

    /// The stable name of this code.
    pub fn name(self) -> &'static str {
        self.entry().name
    }
}
