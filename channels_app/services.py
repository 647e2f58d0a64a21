"""The e-mail services that are spoken to over HTTP, by the names that settings and providers have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SERVICES: Final[Mapping[str, str]] = {
    "amazon_ses": "AmazonSESTrackingWebhookView",
    "brevo": "BrevoTrackingWebhookView",
    "mailersend": "MailerSendTrackingWebhookView",
    "mailgun": "MailgunTrackingWebhookView",
    "mailjet": "MailjetTrackingWebhookView",
    "mailtrap": "MailtrapTrackingWebhookView",
    "mandrill": "MandrillCombinedWebhookView",
    "postal": "PostalTrackingWebhookView",
    "postmark": "PostmarkTrackingWebhookView",
    "resend": "ResendTrackingWebhookView",
    "scaleway": "",
    "sendgrid": "SendGridTrackingWebhookView",
    "sparkpost": "SparkPostTrackingWebhookView",
    "unisender_go": "UnisenderGoTrackingWebhookView",
}
"""Name → the view of Anymail's that reads the service's callbacks; empty where none come."""
