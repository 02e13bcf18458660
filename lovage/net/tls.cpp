// The only translation unit that names OpenSSL. The engine turns bytes into bytes through memory
// BIOs; the stream moves them over another Stream.
#include <lovage/net/tls.hpp>

#include <lovage/runtime/notifier.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <array>
#include <optional>
#include <utility>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

namespace lovage::net {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kCiphertextChunk = std::size_t{32} << 10U;
constexpr std::size_t kPlaintextChunk = std::size_t{64} << 10U;

template <auto function>
struct Freed {
    void operator()(auto* object) const noexcept { function(object); }
};
using ContextPtr = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, Freed<SSL_free>>;

/// The oldest entry of OpenSSL's error queue (the cause; later ones are its consequences), as text;
/// empties the queue.
std::string take_openssl_error() {
    const unsigned long code = ERR_get_error();
    ERR_clear_error();
    if (code == 0) return "unknown reason";
    const char* reason = ERR_reason_error_string(code);
    return reason != nullptr ? reason : fmt::format("error {:#x}", code);
}

Result<void> use_certificate(SSL_CTX* context, const std::string& certificate,
                             const std::string& key) {
    if (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1) {
        return fail(Errc::invalid_argument, fmt::format("TLS certificate file '{}': {}",
                                                        certificate, take_openssl_error()));
    }
    const std::string& key_file = key.empty() ? certificate : key;
    if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
        return fail(Errc::invalid_argument,
                    fmt::format("TLS key file '{}': {}", key_file, take_openssl_error()));
    }
    return {};
}

Result<void> trust(SSL_CTX* context, const std::string& ca_file) {
    const int loaded = ca_file.empty() ? SSL_CTX_set_default_verify_paths(context)
                                       : SSL_CTX_load_verify_file(context, ca_file.c_str());
    if (loaded == 1) return {};
    return fail(Errc::invalid_argument,
                fmt::format("TLS CA file '{}': {}", ca_file, take_openssl_error()));
}

ContextPtr new_context(const SSL_METHOD* method) {
    ERR_clear_error();
    ContextPtr context{SSL_CTX_new(method)};
    LOVAGE_ASSERT(context != nullptr);
    SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
    SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
    return context;
}

bool is_address(const std::string& name) {
    std::array<unsigned char, sizeof(in6_addr)> ignored{};
    return ::inet_pton(AF_INET, name.c_str(), ignored.data()) == 1 ||
           ::inet_pton(AF_INET6, name.c_str(), ignored.data()) == 1;
}

/// One side of a TLS connection as a machine from bytes to bytes. What it wants to send collects
/// until take_output().
class TlsEngine {
public:
    static Result<TlsEngine> client(const TlsOptions& options, const std::string& host) {
        const ContextPtr context = new_context(TLS_client_method());
        const bool verify = options.verify == TlsVerify::required;
        SSL_CTX_set_verify(context.get(), verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
        if (verify) {
            if (auto done = trust(context.get(), options.ca_file); !done) {
                return std::unexpected{std::move(done.error())};
            }
        }
        if (!options.certificate_file.empty()) {
            if (auto done =
                    use_certificate(context.get(), options.certificate_file, options.key_file);
                !done) {
                return std::unexpected{std::move(done.error())};
            }
        }
        TlsEngine engine{context.get()};
        engine.name_server(options.server_name.empty() ? host : options.server_name,
                           verify && options.verify_host);
        SSL_set_connect_state(engine.ssl_.get());
        return engine;
    }

    static Result<TlsEngine> server(const TlsServerOptions& options) {
        const ContextPtr context = new_context(TLS_server_method());
        if (auto done = use_certificate(context.get(), options.certificate_file, options.key_file);
            !done) {
            return std::unexpected{std::move(done.error())};
        }
        if (!options.client_ca_file.empty()) {
            if (auto done = trust(context.get(), options.client_ca_file); !done) {
                return std::unexpected{std::move(done.error())};
            }
            SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                               nullptr);
        }
        TlsEngine engine{context.get()};
        SSL_set_accept_state(engine.ssl_.get());
        return engine;
    }

    /// True when done, false when bytes from the other side are needed.
    Result<bool> shake_hands() {
        ERR_clear_error();
        return judge(SSL_do_handshake(ssl_.get()));
    }

    /// Nothing: bytes from the other side are needed; 0: it has ended its side.
    Result<std::optional<std::size_t>> read(std::span<char> buffer) {
        ERR_clear_error();
        std::size_t bytes = 0;
        const int answer = SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &bytes);
        if (answer != 1 && SSL_get_error(ssl_.get(), answer) == SSL_ERROR_ZERO_RETURN) return 0;
        const auto done = judge(answer);
        if (!done) return std::unexpected{done.error()};
        return *done ? std::optional{bytes} : std::nullopt;
    }

    /// Encrypts all of `text`; the memory BIO takes any amount.
    Result<void> write(std::string_view text) {
        ERR_clear_error();
        std::size_t written = 0;
        const auto done = judge(SSL_write_ex(ssl_.get(), text.data(), text.size(), &written));
        if (!done) return std::unexpected{done.error()};
        if (*done) return {};
        // Renegotiation is off, so that only a broken peer gets here.
        return fail(Errc::disconnected, "a handshake was asked for while writing");
    }

    void feed(std::string_view ciphertext) {
        std::size_t taken = 0;
        const int done =
            BIO_write_ex(SSL_get_rbio(ssl_.get()), ciphertext.data(), ciphertext.size(), &taken);
        LOVAGE_ASSERT(done == 1 && taken == ciphertext.size());
    }

    void announce_end() {
        ERR_clear_error();
        SSL_shutdown(ssl_.get());
        ERR_clear_error();
    }

    [[nodiscard]] bool has_output() const { return BIO_pending(SSL_get_wbio(ssl_.get())) > 0; }
    [[nodiscard]] std::string take_output() {
        BIO* bio = SSL_get_wbio(ssl_.get());
        std::string output(static_cast<std::size_t>(BIO_pending(bio)), '\0');
        std::size_t taken = 0;
        if (!output.empty()) BIO_read_ex(bio, output.data(), output.size(), &taken);
        LOVAGE_ASSERT(taken == output.size());
        return output;
    }

private:
    explicit TlsEngine(SSL_CTX* context) : ssl_{SSL_new(context)} {
        LOVAGE_ASSERT(ssl_ != nullptr);
        BIO* input = BIO_new(BIO_s_mem());
        BIO* output = BIO_new(BIO_s_mem());
        LOVAGE_ASSERT(input != nullptr && output != nullptr);
        SSL_set_bio(ssl_.get(), input, output);
    }

    void name_server(const std::string& name, bool verify) {
        const bool address = is_address(name);
        // RFC 6066 section 3: literal addresses are not sent as a server name.
        if (!address) SSL_set_tlsext_host_name(ssl_.get(), name.c_str());
        if (!verify) return;
        const int done =
            address ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), name.c_str())
                    : SSL_set1_host(ssl_.get(), name.c_str());
        LOVAGE_ASSERT(done == 1);
        SSL_set_hostflags(ssl_.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    }

    /// True: done; false: it waits for bytes.
    Result<bool> judge(int answer) {
        if (answer == 1) return true;
        const int error = SSL_get_error(ssl_.get(), answer);
        if (error == SSL_ERROR_WANT_READ) return false;
        const long verified = SSL_get_verify_result(ssl_.get());
        const unsigned long code = ERR_peek_error();
        const int reason = ERR_GET_REASON(code);
        if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
            ERR_clear_error();
            return fail(Errc::rejected, fmt::format("the certificate is not accepted: {}",
                                                    X509_verify_cert_error_string(verified)));
        }
        const bool not_tls = reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
                             reason == SSL_R_HTTPS_PROXY_REQUEST;
        const std::string text = take_openssl_error();
        if (not_tls) {
            return fail(Errc::malformed,
                        fmt::format("the other side does not speak TLS here ({})", text));
        }
        // Reasons from 1000 on are alerts that the other side has sent (RFC 8446 section 6).
        if (reason >= SSL_AD_REASON_OFFSET || reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
            return fail(Errc::rejected, text);
        }
        return fail(Errc::disconnected, text);
    }

    SslPtr ssl_;
};

class TlsStream final : public Stream {
public:
    TlsStream(std::unique_ptr<Stream> inner, TlsEngine engine, const Executor& executor)
        : inner_{std::move(inner)},
          engine_{std::move(engine)},
          flushed_{executor},
          ciphertext_(kCiphertextChunk, '\0') {}

    Awaitable<Result<void>> shake_hands() {
        while (true) {
            auto done = engine_.shake_hands();
            // An alert that explains a failure is worth sending, too.
            auto sent = co_await flush();
            if (!done) co_return std::unexpected{prefixed(std::move(done.error()))};
            if (!sent) co_return std::unexpected{prefixed(std::move(sent.error()))};
            if (*done) co_return Result<void>{};
            auto fed = co_await feed();
            if (!fed) {
                fed.error().detail += " during the TLS handshake";
                co_return std::unexpected{std::move(fed.error())};
            }
        }
    }

    Awaitable<Result<std::size_t>> read_some(std::span<char> buffer) override {
        while (true) {
            auto bytes = engine_.read(buffer);
            // Reading can make the engine speak: TLS 1.3 key updates are answered, errors are
            // told. While a write is under way, that write takes it along.
            if (engine_.has_output() && !flushing_) {
                auto sent = co_await flush();
                if (!sent && bytes && !*bytes) co_return std::unexpected{sent.error()};
            }
            if (!bytes) co_return std::unexpected{prefixed(std::move(bytes.error()))};
            if (*bytes) co_return **bytes;
            auto fed = co_await feed();
            if (!fed) co_return std::unexpected{std::move(fed.error())};
        }
    }

    Awaitable<Result<void>> write(std::span<const std::string_view> buffers) override {
        for (const std::string_view buffer : buffers) {
            for (std::size_t from = 0; from < buffer.size(); from += kPlaintextChunk) {
                if (broken_) co_return fail(Errc::disconnected, broken_text());
                auto done = engine_.write(buffer.substr(from, kPlaintextChunk));
                if (!done) co_return std::unexpected{prefixed(std::move(done.error()))};
                if (from + kPlaintextChunk >= buffer.size()) break;
                if (auto sent = co_await flush(); !sent) co_return sent;
            }
        }
        co_return co_await flush();
    }

    void shutdown_send() noexcept override {
        say_goodbye();
        inner_->shutdown_send();
    }
    void cancel() noexcept override { inner_->cancel(); }
    void close() noexcept override {
        say_goodbye();
        inner_->close();
    }
    const std::string& peer() const noexcept override { return inner_->peer(); }

private:
    /// Marks the time in which one coroutine writes to the socket.
    class Flushing {
    public:
        explicit Flushing(TlsStream* stream) : stream_{stream} { stream_->flushing_ = true; }
        ~Flushing() {
            stream_->flushing_ = false;
            stream_->flushed_.notify_all();
        }
        Flushing(const Flushing&) = delete;
        Flushing& operator=(const Flushing&) = delete;

    private:
        TlsStream* stream_;
    };

    /// Sends what the engine has to say. One call at a time writes; another waits for it.
    Awaitable<Result<void>> flush() {
        while (flushing_) co_await flushed_.wait();
        const Flushing guard{this};
        Result<void> sent;
        while (sent && !broken_ && engine_.has_output()) {
            const std::string output = engine_.take_output();
            const std::array<std::string_view, 1> buffers{output};
            broken_ = true;  // Until all of it is sent: half a record cannot be continued.
            sent = co_await inner_->write(buffers);
            broken_ = !sent.has_value();
        }
        if (sent && broken_) co_return fail(Errc::disconnected, broken_text());
        co_return sent;
    }

    /// Reads from the socket into the engine.
    Awaitable<Result<void>> feed() {
        auto bytes = co_await inner_->read_some(ciphertext_);
        if (!bytes) co_return std::unexpected{std::move(bytes.error())};
        if (*bytes == 0) {
            co_return fail(Errc::disconnected, fmt::format("{} hung up", peer()));
        }
        engine_.feed(std::string_view{ciphertext_}.substr(0, *bytes));
        co_return Result<void>{};
    }

    /// Sends close_notify, as far as the socket takes it at once.
    void say_goodbye() noexcept {
        if (flushing_ || broken_) return;
        broken_ = true;
        engine_.announce_end();
        inner_->try_write(engine_.take_output());
    }

    [[nodiscard]] Error prefixed(Error error) const {
        error.detail = fmt::format("TLS with {}: {}", peer(), error.detail);
        return error;
    }
    [[nodiscard]] std::string broken_text() const {
        return fmt::format("TLS with {}: writing has ended", peer());
    }

    std::unique_ptr<Stream> inner_;
    TlsEngine engine_;
    Notifier flushed_;
    std::string ciphertext_;
    bool flushing_ = false;
    bool broken_ = false;
};

Awaitable<Result<std::unique_ptr<Stream>>> secure(std::unique_ptr<Stream> inner, TlsEngine engine,
                                                  Deadline deadline) {
    using namespace asio::experimental::awaitable_operators;
    const auto executor = co_await asio::this_coro::executor;
    auto stream = std::make_unique<TlsStream>(std::move(inner), std::move(engine), executor);
    asio::steady_timer limit{executor, deadline.time()};
    auto outcome =
        co_await (stream->shake_hands() || limit.async_wait(asio::as_tuple(asio::use_awaitable)));
    if (outcome.index() == 1) {
        co_return fail(Errc::deadline_exceeded, "TLS handshake with " + stream->peer());
    }
    auto& done = std::get<0>(outcome);
    if (!done) co_return std::unexpected{std::move(done.error())};
    co_return stream;
}

}  // namespace

Awaitable<Result<std::unique_ptr<Stream>>> connect_tls(std::string host, std::uint16_t port,
                                                       TlsOptions options, Deadline deadline) {
    // The files first: a wrong path is a wrong setting, whether the server is up or not.
    auto engine = TlsEngine::client(options, host);
    if (!engine) co_return std::unexpected{std::move(engine.error())};
    auto stream = co_await connect_tcp(std::move(host), port, deadline);
    if (!stream) co_return std::unexpected{std::move(stream.error())};
    co_return co_await secure(std::move(*stream), std::move(*engine), deadline);
}

Awaitable<Result<std::unique_ptr<Stream>>> accept_tls(std::unique_ptr<Stream> stream,
                                                      TlsServerOptions options, Deadline deadline) {
    auto engine = TlsEngine::server(options);
    if (!engine) co_return std::unexpected{std::move(engine.error())};
    co_return co_await secure(std::move(stream), std::move(*engine), deadline);
}

}  // namespace lovage::net
