/* SPDX-License-Identifier: GPL-2.0-or-later */
/* session.h: numbered channels with credit and offsets over one byte stream; the same code on
 * both ends. Must not know: sockets, clocks, files, what the channels carry. The driver owns
 * the bytes that wait to be sent, and those that were sent until the other end has them; the session only says
 * which of them go when. Input is handed in pieces of any size. Source: docs/protocol-session.md, docs/resume.md. */
#ifndef MRC_SESSION_SESSION_H
#define MRC_SESSION_SESSION_H

#include "mrc/session/fair.h"
#include "mrc/session/frames.h"

#include <errno.h>

enum {
    MRC_SESSION_VERSION = 2,
    MRC_CHAN_MAX = 64, /* channels at a time */
    MRC_WINDOW_FIRST =
        256 * 1024,        /* bytes that may be sent on a new channel before any credit */
    MRC_CHUNK = 16 * 1024, /* longest piece of one channel before others get their turn */
    MRC_SILENCE_MAX_MS = 120 * 1000, /* silence after which the other end counts as gone */
    MRC_PINGS = 8,                   /* questions in that time */
    MRC_OPEN_MAX = 1024,             /* service and request of an open frame */
    MRC_TEXT_MAX = 256,              /* words in reset and bye */
    MRC_PONGS_MAX = 4, /* answers owed; more pings than that without room are dropped */
    MRC_RESEND_MAX = 32 * 1024 * 1024, /* bytes sent that the other end has not confirmed; no data is sent beyond */
    MRC_ACK_BYTES = 256 * 1024,        /* how often the other end confirms */
    MRC_GREETING_MAX = 512,            /* a frame before a resumed session goes on */
};

enum { MRC_BYE_NO_SESSION = ENXIO }; /* to a head that comes back: no agent here has this session */

enum mrc_event_kind {
    MRC_EV_INPUT,    /* bytes came in: step as long as input_left is not 0 */
    MRC_EV_WRITE,    /* the transport takes more: step until no MRC_ACT_WRITE comes */
    MRC_EV_OPEN,     /* open a channel: weight, service, request (together at most MRC_OPEN_MAX
                        bytes) */
    MRC_EV_QUEUED,   /* amount more bytes wait in the driver's queue of chan */
    MRC_EV_END,      /* nothing will follow what is queued on chan */
    MRC_EV_CONSUMED, /* the receiver used amount bytes of chan: may become credit */
    MRC_EV_STOP,     /* we want no more of chan */
    MRC_EV_RESET,    /* end chan with code and text */
    MRC_EV_BYE,      /* end the session with code and text */
    MRC_EV_TICK,     /* time passed: now_ms */
    MRC_EV_PAUSE,    /* we are about to be stopped: tell the other end, by WRITE steps */
    MRC_EV_DOWN,     /* the stream is gone: nothing is written or read until REDIAL or TAKE */
    MRC_EV_REDIAL,   /* head: there will be a new stream; its first bytes come by a WRITE step */
    MRC_EV_TAKE,     /* agent: the head has come back on a new stream, on which it sent hello */
};

struct mrc_event {
    enum mrc_event_kind kind;
    uint64_t now_ms;
    struct bytes input; /* INPUT */
    uint32_t chan;
    uint64_t amount;
    uint8_t weight;
    struct bytes service; /* OPEN */
    struct bytes request;
    int code; /* RESET, BYE: negative errno or 0 */
    struct bytes text;
    const struct mrc_hello *hello; /* TAKE */
};

enum mrc_act_kind {
    MRC_ACT_NONE,
    MRC_ACT_HELLO,  /* the other end's hello is in frame.hello */
    MRC_ACT_CHAN,   /* our channel chan exists now: send head at once */
    MRC_ACT_OPENED, /* the other end opened chan: frame.open */
    MRC_ACT_DATA,   /* bytes of chan came: body */
    MRC_ACT_EOF,    /* no more will come on chan */
    MRC_ACT_STOP, /* the other end wants no more of chan; its queue may be dropped, END is still
                     needed */
    MRC_ACT_RESET, /* chan is over: code, text */
    MRC_ACT_ROOM,  /* chan may send again after its credit was used up */
    MRC_ACT_WRITE, /* send head, then body_len bytes of chan's queue from its front, which are
                      then the transport's */
    MRC_ACT_BYE,   /* the other end ended the session: code, text */
    MRC_ACT_LOST,  /* nothing was heard for too long; may be followed by DOWN */
    MRC_ACT_ACKED,   /* the other end has amount more bytes of what was written: forget them */
    MRC_ACT_RESUMED, /* the same, and what is left is written again, before all else */
    MRC_ACT_ANEW,    /* after REDIAL: likewise, all of it, as nobody has got any; after INPUT: that is worth another stream */
};

struct mrc_action {
    enum mrc_act_kind kind;
    uint32_t chan;
    int code;
    struct bytes body;      /* DATA, and the text of RESET and BYE; valid until the next step */
    struct mrc_frame frame; /* HELLO, OPENED */
    uint64_t amount;        /* ACKED, RESUMED */
    bool is_outside;        /* WRITE: of this stream only: never written again */
    uint8_t head[2048];     /* WRITE, CHAN */
    uint32_t head_len;
    uint32_t body_len;
    size_t input_left; /* bytes of ev->input that were not used yet, at its end */
};

struct mrc_chan {
    uint32_t id; /* 0 = free */
    uint8_t weight;
    struct fair_sender fair;
    uint64_t queued;     /* offset of the end of what the driver has queued */
    uint64_t sent;       /* offset of what goes next */
    uint64_t send_limit; /* the other end's credit */
    uint64_t received;   /* offset of what must come next */
    uint64_t consumed;   /* offset up to which the receiver has used it */
    uint64_t granted;    /* limit that we last told */
    uint64_t window;     /* how far granted runs ahead of consumed */
    bool wants_end, end_sent, end_received;
    bool stop_sent, stop_pending;
    bool reset_pending, is_starved;
    int reset_code;
};

enum mrc_line { MRC_LINE_UP, MRC_LINE_DOWN, MRC_LINE_GREETING };

struct mrc_session {
    bool is_head;
    bool hello_sent, hello_received, bye_pending, bye_sent, is_over;
    bool pause_pending, is_peer_paused;
    uint64_t silence_ms, hello_ms;
    uint8_t session_id[16];
    uint8_t secret[32];
    char software[32];
    int bye_code;
    char bye_text[MRC_TEXT_MAX];
    char reset_text[MRC_TEXT_MAX]; /* of the one reset that has words and waits */
    uint32_t next_id;
    struct mrc_chan chans[MRC_CHAN_MAX];
    struct fair_clock clock;
    uint64_t heard_ms, pinged_ms, now_ms;
    /* The two byte streams, whatever carries them. */
    enum mrc_line line;
    uint32_t wait_s;  /* how long the agent waits for the head; 0: the session ends with its stream */
    uint64_t attempt; /* of the head to come back */
    bool greeting_pending;
    bool is_foreign; /* agent: the head came back for another agent's session */
    bool wants_anew; /* head: the next stream is to a new agent, which hears everything from the first byte on */
    bool is_anew;    /* … and it is that one */
    uint64_t out_total, out_acked, in_total, in_told;
    uint32_t greeting_len;
    uint8_t greeting[MRC_GREETING_MAX];
    bool ping_pending;
    uint64_t pongs[MRC_PONGS_MAX];
    unsigned pong_count;
    /* One frame that is coming in. */
    uint32_t in_len;
    uint8_t in[4 + MRC_FRAME_MAX];
};

struct mrc_session_opts {
    bool is_head;
    uint8_t session_id[16]; /* random, from the driver */
    uint8_t secret[32];
    const char *software;
    uint64_t now_ms;
    uint64_t silence_ms; /* in place of MRC_SILENCE_MAX_MS; 0 = that */
    uint64_t hello_ms;   /* the same until the other end has said hello; 0 = silence_ms */
    uint32_t wait_s;     /* head: how long the agent shall wait for us; 0: it shall not */
};

void mrc_session_init(struct mrc_session *s, const struct mrc_session_opts *o);

/* One event, at most one action (act is overwritten). INPUT and WRITE are repeated by the
 * driver as described above. Returns 0; -EPROTO after malformed input (the session is unusable
 * then); -EPROTONOSUPPORT the same for a hello of another version, which is in act->frame;
 * -ENOSPC when MRC_CHAN_MAX channels are open; -E2BIG when service and request are too long;
 * -EINVAL for an unknown channel. TAKE changes nothing when it fails: -EACCES it is another session or not its secret;
 * -ESTALE a newer stream was taken before; -EPROTO offsets that can't be. */
MUST int mrc_session_step(struct mrc_session *s, const struct mrc_event *ev,
                          struct mrc_action *act);

/* Sets how many bytes the other end may run ahead on chan; takes effect with the next credit.
 */
MUST int mrc_session_window(struct mrc_session *s, uint32_t chan, uint64_t window_bytes);

/* False once chan ended in both directions or was reset. */
bool mrc_session_has(const struct mrc_session *s, uint32_t chan);

/* May this session go on with another stream? Both ends must have heard each other. */
bool mrc_session_is_resumable(const struct mrc_session *s);

/* Reads the resume field of a hello. Returns false when it is empty or malformed. */
bool mrc_resume_get(struct bytes field, uint32_t *wait_s, uint64_t *attempt, uint64_t *received);

/* Milliseconds until a TICK is due. */
uint64_t mrc_session_next_ms(const struct mrc_session *s);

/* True when offsets and flags are consistent; tests call it after each step. */
bool mrc_session_check(const struct mrc_session *s);

#endif
