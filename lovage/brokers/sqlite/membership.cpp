#include <lovage/brokers/sqlite/membership.hpp>

#include <lovage/clients/sqlite/files.hpp>
#include <lovage/core/uuid.hpp>
#include <lovage/runtime/failpoint.hpp>
#include <lovage/runtime/log.hpp>

#include <boost/asio/this_coro.hpp>

#include <array>
#include <system_error>

#include <unistd.h>

namespace lovage::sqlite_broker {

namespace {

/// For people who look into the file: "host:pid".
std::string host_and_process() {
    std::array<char, 256> host{};
    (void)gethostname(host.data(), host.size() - 1);
    return fmt::format("{}:{}", host.data(), getpid());
}

void report(std::uint64_t messages, std::string_view why) {
    if (messages > 0)
        log::warning("broker", "{} message(s) of a consumer {} are ready again", messages, why);
}

Result<void> rescue_if_dead(Connection& connection, const std::filesystem::path& peers,
                            const std::string& name, Now now) {
    if (sqlite::peer_is_alive(peers, name)) return {};
    const auto rescue = remove_peer(connection, name, now);
    if (!rescue) return std::unexpected{rescue.error()};
    // Only a lock that had its row is removed: a peer appears in the folder before it does in the
    // file.
    if (rescue->existed) sqlite::forget_peer(peers, name);
    report(rescue->messages, "that died");
    return {};
}

Result<void> rescue_all_dead(Connection& connection, const std::filesystem::path& peers, Now now) {
    auto names = peer_names(connection);
    if (!names) return std::unexpected{names.error()};
    for (const std::string& name : *names) {
        if (auto done = rescue_if_dead(connection, peers, name, now); !done) return done;
    }
    return {};
}

}  // namespace

Membership::Membership(sqlite::Session& session, Options options, Handlers handlers)
    : session_{session},
      options_{std::move(options)},
      handlers_{std::move(handlers)},
      hurry_{session.executor()} {}

Awaitable<Result<PeerId>> Membership::join(Deadline deadline) {
    const auto self = shared_from_this();  // the broker may be closed meanwhile
    if (id_ != 0) co_return id_;
    auto name = uuid4();
    auto lock = std::make_shared<std::optional<sqlite::PeerLock>>();
    auto op = [name, lock, options = options_](Connection& connection) -> Result<PeerId> {
        const Now now = Now::read();
        if (!lock->has_value()) {  // it may run twice
            if (auto made = sqlite::make_private_folder(options.peers); !made) {
                return std::unexpected{std::move(made.error())};
            }
            auto locked = sqlite::PeerLock::create(options.peers, name);
            if (!locked) return std::unexpected{locked.error()};
            lock->emplace(std::move(*locked));
        }
        if (auto done = rescue_all_dead(connection, options.peers, now); !done) {
            return std::unexpected{done.error()};
        }
        return add_peer(connection, name, host_and_process(), now.boot + options.lease.count());
    };
    auto joined = co_await session_.run(std::move(op), deadline);
    if (!joined) co_return joined;
    if (left_) {
        // `lock` goes: this registration is found dead, as if its process were.
        co_return fail(Errc::disconnected, "the broker was closed");
    }
    if (id_ != 0) {
        // Another coroutine was quicker: this registration is given up, as if its process had died.
        session_.post([name, lock](Connection& connection) -> Result<void> {
            if (auto done = remove_peer(connection, name, Now::read()); !done) {
                return std::unexpected{done.error()};
            }
            return {};
        });
        co_return id_;
    }
    id_ = *joined;
    name_ = std::move(name);
    lock_ = std::move(lock);
    if (handlers_.joined) handlers_.joined(id_);
    co_return id_;
}

Awaitable<Result<void>> Membership::leave(Deadline deadline) {
    left_ = true;
    if (id_ == 0) co_return Result<void>{};
    id_ = 0;
    auto left = co_await session_.run(
        [name = name_](Connection& connection) {
            return remove_peer(connection, name, Now::read());
        },
        deadline);
    lock_.reset();
    if (!left) co_return std::unexpected{std::move(left.error())};
    co_return Result<void>{};
}

void Membership::note_lost() {
    if (id_ == 0) return;
    log::warning("broker",
                 "this process did not renew its lease for {} ms (stopped, or the machine was "
                 "suspended): its "
                 "messages were given to other consumers",
                 options_.lease.count());
    id_ = 0;
    lock_.reset();
    if (handlers_.lost) handlers_.lost();
    hurry_.notify_all();
}

void Membership::peer_closed(const std::string& name) {
    if (name == name_) return;
    session_.post([name, peers = options_.peers](Connection& connection) {
        return rescue_if_dead(connection, peers, name, Now::read());
    });
}

void Membership::check_all_peers() {
    session_.post([peers = options_.peers](Connection& connection) {
        return rescue_all_dead(connection, peers, Now::read());
    });
}

/// Until the next renewal, or the moment another peer's lease ends if it does not renew it by then.
std::chrono::milliseconds Membership::next_wait() const {
    using namespace std::chrono;
    if (!next_lease_end_) return options_.renew_every;
    const milliseconds left{*next_lease_end_ - Now::read().boot + 1};
    return std::clamp(left, milliseconds{1}, options_.renew_every);
}

Awaitable<void> Membership::run() {
    bool join_failed = false;
    while (true) {
        // A lease found lost is taken again at once.
        if (id_ != 0 || join_failed) (void)co_await hurry_.wait(Deadline::in(next_wait()));
        if (id_ == 0) {
            const auto joined = co_await join(Deadline::in(options_.renew_every));
            if (!joined) log::warning("broker", "cannot consume: {}", joined.error().message());
            join_failed = !joined;
            next_lease_end_.reset();
            continue;
        }
        const PeerId id = id_;
        if (failpoint::left_out(failpoint::Line::lease_renewal)) continue;
        auto renewed = co_await session_.run(
            [id, lease = options_.lease](Connection& connection) {
                const Now now = Now::read();
                return renew(connection, id, boot_id(), now.boot + lease.count(), now);
            },
            Deadline::in(options_.lease));
        if (!renewed) {
            log::warning("broker", "cannot renew the lease: {}", renewed.error().message());
            next_lease_end_.reset();
            if (handlers_.tick) handlers_.tick();  // consumers hear of it by their next claim
            continue;
        }
        next_lease_end_ = renewed->next_lease_end;
        report(renewed->rescued, "that does not move");
        if (!renewed->alive && id == id_) note_lost();
        if (handlers_.tick) handlers_.tick();
    }
}

}  // namespace lovage::sqlite_broker
