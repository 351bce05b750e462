// The page of a review: three files, served as they are. They ask /api/next and send /api/rate (client/measure/review.h),
// and put what they get into the page as text, never as markup. Nothing is loaded from elsewhere.
#pragma once

#include <string_view>

namespace sotto::evaluation {

extern const std::string_view kReviewHtml;
extern const std::string_view kReviewCss;
extern const std::string_view kReviewScript;

}  // namespace sotto::evaluation
