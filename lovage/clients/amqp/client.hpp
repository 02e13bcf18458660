#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/clients/amqp/connection.hpp>
#include <lovage/clients/amqp/options.hpp>
#include <lovage/clients/amqp/topology.hpp>
#include <lovage/core/error.hpp>
#include <lovage/runtime/deadline.hpp>
#include <lovage/runtime/notifier.hpp>
#include <lovage/runtime/task_scope.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace lovage::amqp {

/// A connection to an AMQP server that comes back by itself.
///
/// It connects to one of several hosts, and when the connection is lost it tries the next one with
/// full jitter (0.1 s to 10 s), declares again what was declared through it, and lets its
/// publishers and consumers go on. Belongs to one loop; not thread-safe.
///
/// Lifetime: close() before it is destroyed, once connect() was called; publishers and consumers
/// first.
class Client {
public:
    Client(Executor executor, ClientOptions options);
    ~Client();
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    /// Waits until connected. Not being connected at the deadline, when it never was, ends the
    /// attempts; later they go on. Connected already: does nothing.
    /// Errors: rejected (login or virtual host refused; names both), disconnected with the last
    /// attempt's reason. Cancellation: the attempts go on until close().
    [[nodiscard]] Awaitable<Result<void>> connect(Deadline deadline);
    /// Ends the connection in order; waiting operations end with disconnected. Any number of times;
    /// connect() may follow. Cancellation: another call goes on with it.
    [[nodiscard]] Awaitable<void> close(Deadline deadline);

    // What is declared here is remembered and declared again after a reconnect. An operation that
    // a lost connection interrupted is repeated until the deadline.
    // Errors: not_found, conflict (exists otherwise, or belongs to another connection), rejected
    // (no permission), disconnected, unknown_outcome (no answer before the deadline).
    [[nodiscard]] Awaitable<Result<void>> declare(ExchangeSpec exchange, Deadline deadline);
    [[nodiscard]] Awaitable<Result<Reply>> declare(QueueSpec queue, Deadline deadline);
    [[nodiscard]] Awaitable<Result<void>> bind(BindingSpec binding, Deadline deadline);
    /// The queue's name, ready messages and consumers. Does not make it.
    [[nodiscard]] Awaitable<Result<Reply>> look_up(std::string queue, Deadline deadline);
    /// Returns how many were removed.
    [[nodiscard]] Awaitable<Result<Reply>> purge(std::string queue, Deadline deadline);
    /// RabbitMQ: deleting a queue that is not there succeeds.
    [[nodiscard]] Awaitable<Result<Reply>> delete_queue(std::string queue, Deadline deadline);
    /// A consumer of it is gone. Was it the last one here, a queue that was declared to go with its
    /// last one is not made again after a reconnect.
    void consumer_gone(const std::string& queue);

    /// It and its bindings are not declared again after a reconnect.
    void forget_queue(const std::string& queue) { topology_.forget_queue(queue); }

    [[nodiscard]] bool connected() const noexcept { return connected_; }
    /// Between connect() and close().
    [[nodiscard]] bool running() const noexcept { return scope_ != nullptr && !stopping_; }
    /// Not empty: the server takes no messages now (memory or disk alarm).
    [[nodiscard]] std::string blocked_reason() const;
    /// Notified when any of these changes.
    [[nodiscard]] Notifier& changed() noexcept { return changed_; }
    [[nodiscard]] const Topology& topology() const noexcept { return topology_; }
    /// Connections made so far.
    [[nodiscard]] std::uint64_t incarnation() const noexcept { return incarnation_; }
    /// "RabbitMQ 3.10.8"; empty before the first connection.
    [[nodiscard]] const std::string& server() const noexcept { return server_; }
    /// Why there is no connection now, naming the server: disconnected.
    [[nodiscard]] Error not_connected() const;
    /// The server that is connected, or is tried now, without credentials.
    [[nodiscard]] std::string endpoint() const;
    [[nodiscard]] const Executor& executor() const noexcept { return changed_.executor(); }

    /// The server has refused a limit for a whole channel (QosScope::channel): consumers made from
    /// now on do not ask for it.
    [[nodiscard]] bool refuses_channel_qos() const noexcept { return refuses_channel_qos_; }
    void note_channel_qos_refused() noexcept { refuses_channel_qos_ = true; }

    /// Something that uses channels of this client: told of every connection, and of its blocking.
    class Resident {
    public:
        virtual void on_connected(Session& session) = 0;
        virtual void on_state_changed() {}
        /// Whether it consumes that queue, or will with the next connection.
        [[nodiscard]] virtual bool consumes(const std::string& /*queue*/) const { return false; }
        /// The client is closed or destroyed: it must not be used any more.
        virtual void on_client_closed() = 0;

    protected:
        ~Resident() = default;
    };
    /// Calls on_connected() at once when connected.
    void add(Resident& resident);
    void remove(Resident& resident) noexcept;

private:
    struct ControlChannel final : ChannelEvents {
        Channel* channel = nullptr;
        void on_channel_closed(const Error& /*why*/) override { channel = nullptr; }
    };

    Awaitable<void> supervise();
    Awaitable<Result<std::shared_ptr<Connection>>> connect_to(Endpoint endpoint);
    void try_next_host() noexcept;
    Awaitable<bool> connect_once();
    Awaitable<void> replay();
    Awaitable<void> stay();
    Awaitable<void> stop(Deadline deadline);
    Awaitable<Result<Reply>> call(Request request, Deadline deadline);
    Awaitable<Result<Reply>> call_once(Request request, Deadline deadline);
    void tell_residents(const std::function<void(Resident&)>& news);

    ClientOptions options_;
    Notifier changed_;
    Topology topology_;
    std::set<Resident*> residents_;
    std::shared_ptr<Connection> connection_;
    ControlChannel control_;
    bool connected_ = false;
    bool was_connected_ = false;
    bool closing_ = false;
    bool stopping_ = false;  ///< What is in `scope_` was told to end.
    bool refuses_channel_qos_ = false;
    std::size_t endpoint_ = 0;    ///< The host that is connected to, or was tried last.
    std::size_t connecting_ = 0;  ///< Callers inside connect().
    std::uint64_t incarnation_ = 0;
    std::string server_;
    std::optional<Error> problem_;      ///< Of the last attempt.
    std::shared_ptr<TaskScope> scope_;  ///< Here until nothing runs in it.
};

}  // namespace lovage::amqp
