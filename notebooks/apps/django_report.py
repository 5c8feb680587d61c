"""A shop, in Django: it computes a report on all its sales while the one who ordered it waits.

JOBQUEUE_DATABASE=sqlite:///shop.db gunicorn --bind 127.0.0.1:8000 django_report:app
"""

import json
import os

import django
import sqlalchemy
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection, models
from django.http import JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

URL = sqlalchemy.make_url(os.environ["JOBQUEUE_DATABASE"])
SQLITE = {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": {"transaction_mode": "IMMEDIATE"}}
DATABASE = {**SQLITE, "NAME": URL.database}
settings.configure(ALLOWED_HOSTS=["127.0.0.1"], DATABASES={"default": DATABASE}, ROOT_URLCONF=__name__)
django.setup()


class Sale(models.Model):
    customer = models.IntegerField()
    day = models.IntegerField()
    pence = models.IntegerField()

    class Meta:
        app_label = "shop"


class Order(models.Model):
    customer = models.TextField()
    report = models.JSONField(null=True)

    class Meta:
        app_label = "shop"


def create_tables():
    with connection.schema_editor() as editor, connection.cursor() as cursor:
        if Order._meta.db_table not in connection.introspection.table_names():
            editor.create_model(Sale)
            editor.create_model(Order)
            numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200000)"
            values = "i * 7919 % 20011, i * 104729 % 365, i * 31 % 5000"
            cursor.execute(f"{numbers} INSERT INTO shop_sale(customer, day, pence) SELECT {values} FROM n")


create_tables()


def write_report(order_id):
    each_day = Sale.objects.values("day").annotate(
        customers=models.Count("customer", distinct=True), pence=models.Sum("pence")
    )
    report = list(each_day.order_by("day"))
    Order.objects.filter(id=order_id).update(report=report)


def index(request):
    return JsonResponse({"prints": ["10 x 15 cm", "20 x 30 cm"]})


@csrf_exempt
def create(request):
    order = Order.objects.create(customer=json.loads(request.body)["customer"])
    write_report(order.id)
    return JsonResponse({"id": order.id}, status=201)


def show(request, id):
    return JsonResponse({"done": get_object_or_404(Order, id=id).report is not None})


urlpatterns = [path("", index), path("orders", create), path("orders/<int:id>", show)]
app = get_wsgi_application()
