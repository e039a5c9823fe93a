// SPDX-License-Identifier: BSL-1.0
// Shared memory that a worker made, on its way to the pool: its descriptor travels through a
// socket, where it survives the worker.
#pragma once

#include <mutex>
#include <vector>

#include <concur/detail/base/linux_process.hpp>
#include <concur/detail/shared/carrier.hpp>

namespace concur::inline v0::detail {

// Protocol [parcels] - one socket pair for each pool; all of its workers send, the pool receives.
//
// Order    a worker sends the descriptor before it publishes the reply in which the handle stands;
//          the pool takes everything out of the socket before it decodes that reply.
// Holding  the parcel counts as a holder of the segment from before it is sent until the pool holds
//          the segment itself. The pool keeps it until the reply has been seen to; what no reply
//          names goes then, or when the worker is replaced.
// Full     the worker asks the pool's thread to take out what is there, and waits.
// Death    of the worker: what it has sent stays in the socket. Of the pool: the kernel drops it.
struct parcel {
    std::uint64_t magic = segment_words::right_magic;
    std::uint64_t id = 0;
    std::uint64_t position = 0;  ///< of the call
    std::uint32_t worker = 0;
    std::uint32_t writable = 0;
};

/// The pool's side. Any thread.
class parcel_box {
public:
    /// Throws std::system_error.
    void open() {
        if (!make_packet_pair(ours_, theirs_) || fcntl(ours_.get(), F_SETFL, O_NONBLOCK) != 0 ||
            fcntl(theirs_.get(), F_SETFL, O_NONBLOCK) != 0) {
            throw_errno("cannot make a socket for the results of workers");
        }
    }
    int worker_end() const noexcept { return theirs_.get(); }

    /// Takes out all that was sent until now.
    void receive() noexcept {
        std::lock_guard const lock(mutex_);
        for (;;) {
            parcel one;
            unique_fd fds[max_packet_fds];
            auto const got = receive_packet(ours_.get(), &one, sizeof one, fds);
            if (got <= 0) return;
            if (got != static_cast<long>(sizeof one) || one.magic != segment_words::right_magic ||
                !fds[0]) {
                continue;  // without a free number here it has no descriptor: decoding says so
            }
            try {
                auto memory =
                    shared_registry::get().adopt(std::move(fds[0]), one.id, one.writable != 0);
                if (memory) kept_.push_back({one.worker, one.position, std::move(memory)});
            } catch (std::exception const&) {
                // No address space, no memory: decoding finds nothing, and says so.
            }
        }
    }
    /// The reply to this call has been seen to, or there will be none.
    void drop(std::size_t worker, std::uint64_t position) noexcept {
        std::lock_guard const lock(mutex_);
        std::erase_if(kept_,
                      [&](entry& e) { return e.worker == worker && e.position == position; });
    }

private:
    struct entry {
        std::size_t worker;
        std::uint64_t position;
        mapping_ref memory;
    };
    unique_fd ours_, theirs_;
    std::mutex mutex_;
    std::vector<entry> kept_;
};

/// The worker's side. `ask` is called when the socket is full.
template <class Ask>
void send_parcel(int socket, shared_mapping& mapping, std::uint32_t worker, std::uint64_t position,
                 Ask&& ask) {
    // Forked and without a descriptor: made by the pool's process, which may know it.
    int const fd = mapping.fd();
    if (fd < 0 || socket < 0) return;
    bool const counted = mapping.words().named == 0;
    if (counted) mapping.words().holders.fetch_add(1);
    parcel const one{
        .id = mapping.id(), .position = position, .worker = worker, .writable = mapping.writable()};
    for (;;) {
        int const error = send_packet(socket, &one, sizeof one, &fd, 1);
        if (error == 0) return;
        if (error != EAGAIN && error != ENOBUFS && error != ETOOMANYREFS) {
            if (counted) mapping.words().holders.fetch_sub(1);
            throw_errno("cannot hand shared memory over to the pool's process", error);
        }
        ask();
        constexpr int a_while = 100;
        pollfd watched{socket, POLLOUT, 0};
        if (error == EAGAIN) {
            poll(&watched, 1, a_while);
        } else {
            poll(nullptr, 0, 1);  // too many descriptors in all sockets of this user
        }
    }
}

}  // namespace concur::inline v0::detail
