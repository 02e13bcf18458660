#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/brokers/sqlite/store.hpp>
#include <lovage/clients/sqlite/database.hpp>
#include <lovage/clients/sqlite/wake_file.hpp>
#include <lovage/runtime/notifier.hpp>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace lovage::sqlite_broker {

/// This connection among the peers that consume from the folder: its lock file proves that it
/// lives, its lease that it moves; and it takes back what dead and stopped peers held. Belongs to
/// the loop; not thread-safe.
class Membership : public std::enable_shared_from_this<Membership> {
public:
    struct Options {
        std::filesystem::path peers;  ///< The folder of the lock files.
        std::chrono::milliseconds lease;
        std::chrono::milliseconds renew_every;
    };
    struct Handlers {
        std::function<void()> lost;          ///< We were taken for dead: nothing we held is ours.
        std::function<void(PeerId)> joined;  ///< We are a peer (again).
        std::function<void()> tick;  ///< Every `renew_every`: look whether a wake-up was missed.
    };
    /// `session` must exist until leave() has returned.
    Membership(sqlite::Session& session, Options options, Handlers handlers);

    /// Becomes a peer unless it is one. Errors: those of Session::run(); disconnected after
    /// leave().
    [[nodiscard]] Awaitable<Result<PeerId>> join(Deadline deadline);
    /// Gives everything back and stops being one, for good. Fine when it is none.
    [[nodiscard]] Awaitable<Result<void>> leave(Deadline deadline);
    /// 0 while it is none.
    [[nodiscard]] PeerId id() const noexcept { return id_; }

    /// Renews the lease until cancelled. Spawn it after the first join().
    [[nodiscard]] Awaitable<void> run();
    /// Somebody noticed that we are not a peer any more.
    void note_lost();
    /// The lock file of that peer was closed: takes back what it held if it is dead.
    void peer_closed(const std::string& name);
    /// Looks at every peer.
    void check_all_peers();

private:
    [[nodiscard]] std::chrono::milliseconds next_wait() const;

    sqlite::Session& session_;
    Options options_;
    Handlers handlers_;
    Notifier hurry_;
    PeerId id_ = 0;
    bool left_ = false;
    std::string name_;
    std::shared_ptr<std::optional<sqlite::PeerLock>> lock_;
    std::optional<std::int64_t> next_lease_end_;
};

}  // namespace lovage::sqlite_broker
