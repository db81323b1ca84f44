#include "webhook/service.h"

#include <utility>

#include "common/base/log.h"
#include "webhook/admission.h"

namespace tessera::webhook {
namespace {

void LogDecision(const Review& review, const Decision& decision, std::string_view outcome) {
  const std::string pod = review.request ? review.request->pod_key : "";
  if (decision.allowed) {
    log::Debug("admission decided", {{"pod", pod}, {"uid", review.uid}, {"result", outcome}});
  } else {
    log::Info("admission refused",
              {{"pod", pod}, {"uid", review.uid}, {"reason", decision.message}});
  }
}

}  // namespace

AdmissionService::AdmissionService(Options options, http::Metrics& metrics, const Clock& clock)
    : options_(std::move(options)),
      delivery_(options_.delivery),
      metrics_(metrics),
      clock_(clock) {}

std::string AdmissionService::Answer(std::string_view body) {
  const auto begin = clock_.Now();
  Options options = options_;
  options.delivery = delivery_.load();
  const Review review = ParseReview(body);
  const Decision decision = Admit(review, options);
  std::string answer = EncodeReview(review.uid, decision);
  const std::string_view outcome = OutcomeName(decision);
  LogDecision(review, decision, outcome);
  metrics_.Observe("mutate", outcome, clock_.Now() - begin);
  return answer;
}

void AdmissionService::AddRoute(http::Server& server) {
  server.Route("POST", kPath, [this](const http::Request& request) {
    http::Response response;
    response.body = Answer(request.body);
    return response;
  });
}

}  // namespace tessera::webhook
