//! Room for what is sent and received, which goes from one connection to the next: so nothing is
//! allocated for an attempt, but only for each that is in flight along with more others than ever before.

/// What the longest request takes, but for its body, in bytes.
const REQUEST_BYTES: usize = 256;

/// Room that no connection uses.
#[derive(Debug, Default)]
pub(super) struct Room {
    requests: Vec<Vec<u8>>,
    replies: Vec<Vec<u8>>,
}

impl Room {
    pub(super) fn for_request(&mut self) -> Vec<u8> {
        self.requests.pop().unwrap_or_else(|| Vec::with_capacity(REQUEST_BYTES))
    }

    /// Takes back the room of a request whose connection goes on.
    pub(super) fn take_back_request(&mut self, request: Vec<u8>) {
        self.requests.push(request);
    }

    /// Most replies come in one piece and are not kept, so that this grows when it must.
    pub(super) fn for_reply(&mut self) -> Vec<u8> {
        self.replies.pop().unwrap_or_default()
    }

    pub(super) fn take_back(&mut self, (request, mut reply): (Vec<u8>, Vec<u8>)) {
        reply.clear();
        self.requests.push(request);
        self.replies.push(reply);
    }
}
