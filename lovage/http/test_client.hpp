#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lovage/core/json.hpp>
#include <lovage/http/api.hpp>
#include <lovage/http/response.hpp>

namespace lovage::http {

/// Calls an Api without a socket, for tests: the request is written as bytes, read by the server's
/// own reader and answered on the calling thread; coroutine handlers run to their end on a loop of
/// the client's own.
class TestClient {
public:
    /// Freezes `api`. Lifetime: it must outlive the client.
    explicit TestClient(Api& api);
    ~TestClient();

    using Headers = std::vector<std::pair<std::string, std::string>>;
    struct Options {
        std::string body{};
        std::string content_type = "application/json";  ///< sent when there is a body
        Headers headers{};
    };
    struct Reply {
        Response response;
        std::string request_id;

        [[nodiscard]] int status() const noexcept { return response.status(); }
        [[nodiscard]] const std::string& body() const noexcept { return response.body(); }
        /// The body; asserts that it is JSON.
        [[nodiscard]] Json json() const;
    };

    [[nodiscard]] Reply request(std::string_view method, std::string_view target,
                                const Options& options);
    [[nodiscard]] Reply get(std::string_view target) { return request("GET", target, Options{}); }
    [[nodiscard]] Reply post(std::string_view target, std::string body = {}) {
        return request("POST", target, Options{.body = std::move(body)});
    }

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace lovage::http
